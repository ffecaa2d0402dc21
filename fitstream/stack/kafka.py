"""Apache Kafka as a service of the stack: one node that is broker and controller (KRaft)."""

import subprocess
from pathlib import Path

from fitstream.errors import Unavailable
from fitstream.stack.jars import Tell, class_path
from fitstream.stack.java import java_command
from fitstream.stack.program import Program, listens

_FORMAT_TIMEOUT_S = 60
_HEAP = "512m"


def kafka(folder: Path, ports: dict[str, int], cluster_id: str, tell: Tell) -> Program:
    """Kafka on `folder`/kafka, formatted at the first start."""
    home = folder / "kafka"
    home.mkdir(exist_ok=True)
    properties = home / "server.properties"
    properties.write_text(_properties(home / "log", ports))
    java = java_command(class_path("kafka", tell), _HEAP, _LOGGING)
    if not (home / "log" / "meta.properties").is_file():
        _format(java, properties, cluster_id)
    return Program(
        name="kafka",
        command=[*java, "kafka.Kafka", str(properties)],
        log=folder / "logs" / "kafka.log",
        ready=listens(ports["kafka"]),
        stage=0,
    )


_LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
]


def _format(java: list[str], properties: Path, cluster_id: str) -> None:
    command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
    done = subprocess.run(  # noqa: S603  our own command
        [*command, "--ignore-formatted"],
        capture_output=True,
        text=True,
        timeout=_FORMAT_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise Unavailable("kafka", f"its storage could not be formatted: {done.stderr[-2000:]}")


def _properties(home: Path, ports: dict[str, int]) -> str:
    """`kafka_advertised` in ports.json is where clients are sent when a proxy stands before us."""
    port, controller_port = ports["kafka"], ports["kafka_controller"]
    advertised = ports.get("kafka_advertised", port)
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(home),
        # One node: its own former self must not hold its place for long after a kill.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "1000",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "offsets.retention.minutes": "20160",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.segment.bytes": "134217728",
        "log.cleaner.dedupe.buffer.size": "8388608",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
