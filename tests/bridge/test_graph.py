"""`graph` prints the pipeline as Mermaid."""

from support.toy import Toy

GRAPH = ("python", "anywhere/dvc_bridge", "graph")


def test_a_matrix_is_one_node_that_counts_its_stages(done: Toy) -> None:
    assert done.run(*GRAPH).stdout == (
        "flowchart TD\n"
        '    n0["source"]\n'
        '    n1["power<br/>4 stages"]\n'
        '    n2["total"]\n'
        "    n0 --> n1\n"
        "    n1 --> n2\n"
        "    classDef stale stroke-dasharray: 4 4\n"
    )
    (done.folder / "out" / "b" / "3.txt").unlink()
    drawn = done.run(*GRAPH).stdout
    assert '    n1["power<br/>4 stages, 1 stale"]:::stale\n' in drawn
    assert '    n2["total<br/>stale"]:::stale\n' in drawn
    assert '    n0["source"]\n' in drawn
