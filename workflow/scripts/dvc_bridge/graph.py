"""The graph of a pipeline as Mermaid, which forges draw in READMEs and pull requests."""

from .plan import Plan

STALE = "classDef stale stroke-dasharray: 4 4"


def mermaid(plan: Plan) -> str:
    """Return the graph: a node for each stage; one for all stages of a matrix, with their number.

    Nodes with stale stages say how many, and have a dashed border.
    """
    groups: dict[str, list[str]] = {}
    for address in plan.stages:
        groups.setdefault(_group(address), []).append(address)
    nodes = {name: f"n{number}" for number, name in enumerate(groups)}
    lines = ["flowchart TD"]
    for name, addresses in groups.items():
        stale = sum(plan.stages[address].stale for address in addresses)
        words = [f"{len(addresses)} stages"] * (addresses != [name])
        words += [f"{stale} stale" if words else "stale"] * bool(stale)
        label = "<br/>".join([name, *[", ".join(words)] * bool(words)])
        lines.append(f'    {nodes[name]}["{label}"]' + ":::stale" * bool(stale))
    edges = {
        (nodes[_group(above)], nodes[_group(address)]): None
        for address, stage in plan.stages.items()
        for above in stage.inputs
    }
    lines += [f"    {above} --> {below}" for above, below in edges]
    return "\n".join([*lines, f"    {STALE}"])


def _group(address: str) -> str:
    return address.partition("@")[0]
