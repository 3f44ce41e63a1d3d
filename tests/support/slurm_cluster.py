"""A temporary Slurm cluster of two nodes on this machine.

    python tests/support/slurm_cluster.py -- snakemake --profile profiles/slurm

starts munged, slurmctld and one slurmd per node from Debian's packages `slurm-wlm` and `munge`
(with their own configuration, key and folders), runs the command as on a login node, and stops
the cluster. A Slurm that is already set up on this machine is neither used nor changed.

If this user may create namespaces (root may, but not in every container), each node has its own
network, host name and process IDs, like two machines with a shared file system. Otherwise both
nodes use the loopback interface.
"""

import argparse
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

NODES = ("node1", "node2")
CPUS = max(1, (os.cpu_count() or 1) // len(NODES))  # of each node
MEMORY = 16_000  # of each node, in MB, whatever this machine has
HEAD, NETWORK = "10.77.0.1", "10.77.0.{}"  # reachable only within the namespaces
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
IN_NODE = ["--net", "--uts", "--ipc", "--pid", "--mount-proc", "--fork", "--kill-child"]

CONFIGURATION = """
ClusterName=trial
SlurmctldHost={head}({address})
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
# Jobs share nodes, get what they request, and start on the node with the lower load.
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
# Without cgroups: poll every second, and kill jobs that use more memory than they requested.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
KillWait=1
# No accounting database, so no `sacct`; finished jobs are appended to a file.
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP LLN=YES
"""


def missing_programs() -> str:
    """Return which programs are missing for a cluster and how to install them; empty if none."""
    path = search_path()
    missing = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    advice = "on Debian and Ubuntu: apt-get install slurm-wlm munge"
    return f"{', '.join(missing)} not found; {advice}" if missing else ""


def namespace_error() -> str:
    """Return why nodes cannot have namespaces on this machine; empty if they can."""
    network = "ip link add a0 type veth peer name a1 && ip link add a2 type bridge"
    tried = subprocess.run(
        ["unshare", *IN_NODE, "sh", "-c", network], capture_output=True, text=True
    )
    return tried.stderr.strip() if tried.returncode else ""


def search_path(given: Mapping[str, str] = os.environ) -> str:
    """Return PATH with the folders of daemons, which the PATH of users often lacks."""
    return os.pathsep.join([given.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class Cluster:
    """A cluster, as a context manager that starts and stops it."""

    def __init__(self) -> None:
        self.has_namespaces = not namespace_error()
        self.prefix: list[str] = []
        """What to put before a command to run it in the network namespace of the login node."""

    def __enter__(self) -> "Cluster":
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # the path of a socket must be short
        self.folder.chmod(0o755)  # munged insists that all users can reach its socket
        try:
            self._start()
        except BaseException as error:
            for log in sorted(self.folder.glob("*.log")):
                error.add_note(log.read_text()[-2000:])
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def environment(self, given: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return an environment in which Slurm's commands, such as `sbatch`, use this cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), search_path(given)])
        return {**given, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def run(self, *command: str) -> str:
        """Run a command on the login node; return its standard output."""
        return subprocess.run(
            [*self.prefix, *command],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def finished_jobs(self) -> list[dict[str, str]]:
        """Return the fields that Slurm has recorded of each finished job, such as JobState."""
        log = self.folder / "jobs"
        lines = log.read_text().splitlines() if log.exists() else []
        return [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines]

    def processes(self) -> list[psutil.Process]:
        """Return the running processes of this cluster and of its jobs, on all nodes."""
        running = []
        for process in psutil.process_iter():
            try:  # the environment of slurmstepd cannot be read, but its socket is in the folder
                sockets = [connection.laddr for connection in process.net_connections("unix")]
                known = [*process.environ().values(), *map(str, sockets)]
            except psutil.Error:
                continue
            if any(str(self.folder) in text for text in known):
                running.append(process)
        return running

    def stop(self) -> None:
        """Kill every process of the cluster, and remove its folder."""
        while processes := self.processes():
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)
        shutil.rmtree(self.folder)

    def _start(self) -> None:
        for name in ("munge", "state", "bin"):
            (self.folder / name).mkdir()
        self._configure()
        munge = self.folder / "munge"
        self._daemon(
            *("munged", "--foreground", "--num-threads=2"),
            *(
                f"--{what}-file={self.folder}/munge/{what}"
                for what in ("key", "log", "pid", "seed")
            ),
            f"--socket={self.folder}/munge/socket",
        )
        wait_until((munge / "socket").exists)
        if self.has_namespaces:
            self._make_network()
        self._daemon(*self.prefix, "slurmctld", "-D")
        for number, node in enumerate(NODES, 11):
            self._start_node(node, NETWORK.format(number))
        wait_until(lambda: self._states() == ["idle"] * len(NODES))

    def _states(self) -> list[str]:
        try:
            return self.run("sinfo", "-h", "-N", "-o", "%T").split()
        except subprocess.CalledProcessError:
            return []

    def _configure(self) -> None:
        (self.folder / "munge" / "key").write_bytes(secrets.token_bytes(128))
        (self.folder / "munge" / "key").chmod(0o600)
        head, ports = socket.gethostname().partition(".")[0], free_ports(1 + len(NODES))
        text = CONFIGURATION.format(
            folder=self.folder,
            user=getpass.getuser(),
            head=head,
            address=HEAD if self.has_namespaces else "127.0.0.1",
            port=ports[0],
        )
        for number, (node, port) in enumerate(zip(NODES, ports[1:], strict=True), 11):
            address = NETWORK.format(number) if self.has_namespaces else "127.0.0.1"
            host = node if self.has_namespaces else head
            text += f"NodeName={node} NodeHostname={host} NodeAddr={address} Port={port} "
            text += f"CPUs={CPUS} RealMemory={MEMORY}\n"
        (self.folder / "slurm.conf").write_text(text)
        # Nothing here uses cgroups, but slurmd checks for them unless this plugin is configured.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        # Snakemake's plugin unsets SLURM_CONF in jobs, since real clusters have /etc/slurm.
        srun = self.folder / "bin" / "srun"
        real = shutil.which("srun", path=search_path())
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {real} "$@"\n')
        srun.chmod(0o755)

    def _daemon(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process in the background; its output goes to a log file in the folder."""
        with (self.folder / f"{len(list(self.folder.glob('*.log')))}.log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _make_network(self) -> None:
        head = self._daemon("unshare", "--net", "sleep", "infinity")
        self.prefix = ["nsenter", f"--net={namespace(head)}"]
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "nodes", "type", "bridge")
        self.run("ip", "addr", "add", f"{HEAD}/24", "dev", "nodes")
        self.run("ip", "link", "set", "nodes", "up")

    def _start_node(self, node: str, address: str) -> None:
        slurmd = ("slurmd", "-D", "-N", node)
        if not self.has_namespaces:
            self._daemon(*slurmd)
            return
        connect = f"until ip addr add {address}/24 dev eth0; do sleep 0.1; done; "
        connect += "ip link set lo up; ip link set eth0 up; "
        started = self._daemon(
            "unshare", *IN_NODE, "sh", "-c", f'hostname {node}; {connect} exec "$@"', "sh", *slurmd
        )
        namespace(started)
        to_node = ["type", "veth", "peer", "name", "eth0", "netns", str(started.pid)]
        self.run("ip", "link", "add", node, *to_node)
        self.run("ip", "link", "set", node, "master", "nodes", "up")


def namespace(process: subprocess.Popen[bytes]) -> Path:
    """Wait until a process has created its network namespace; return the path of the namespace."""
    own, path = Path("/proc/self/ns/net"), Path(f"/proc/{process.pid}/ns/net")
    wait_until(lambda: path.readlink() != own.readlink())
    return path


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that are not in use."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: it is not true after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {seconds} s")
        time.sleep(0.1)


def main(argv: list[str]) -> int:
    """Run a command on the login node of a new cluster; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs="+", help="the command to run, after --")
    command = parser.parse_args(argv).command
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is stopped
    if reason := missing_programs():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    with Cluster() as cluster:
        return subprocess.run([*cluster.prefix, *command], env=cluster.environment()).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
