"""The graph of a pipeline as Mermaid, which GitHub and GitLab render."""

from .plan import Plan

STALE = "classDef stale stroke-dasharray: 4 4"


def mermaid(plan: Plan) -> str:
    """Return the graph: a node for each stage; one for all stages of a matrix, with their number.

    Nodes with stale stages say how many, and have a dashed border.
    """
    groups: dict[str, list[str]] = {}
    for address, stage in plan.stages.items():
        groups.setdefault(stage.group, []).append(address)
    nodes = {name: f"n{number}" for number, name in enumerate(groups)}
    lines = ["flowchart TD"]
    for name, addresses in groups.items():
        stale = sum(plan.stages[address].stale for address in addresses)
        counts = [f"{len(addresses)} stages"] if addresses != [name] else []
        if stale:
            counts.append(f"{stale} stale" if counts else "stale")
        label = f"{name}<br/>{', '.join(counts)}" if counts else name
        lines.append(f'    {nodes[name]}["{label}"]{":::stale" if stale else ""}')
    edges = dict.fromkeys(  # each once, in order
        (nodes[plan.stages[above].group], nodes[stage.group])
        for address, stage in plan.stages.items()
        for above in stage.inputs
    )
    lines += [f"    {above} --> {below}" for above, below in edges]
    return "\n".join([*lines, f"    {STALE}"])
