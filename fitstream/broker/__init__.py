"""Kafka behind two small ports, Producer and Source; the only importer of aiokafka.

`tests/fakes/broker.py` implements the same ports in memory and passes the same contract suite.
"""

from fitstream.broker.ports import Headers, Position, Producer, Record, Source
from fitstream.broker.positions import Positions, open_positions
from fitstream.broker.producer import KafkaProducer, open_producer
from fitstream.broker.source import KafkaSource, open_source
from fitstream.broker.topics import Observer, TopicState, make_topics, open_observer

__all__ = [
    "Headers",
    "KafkaProducer",
    "KafkaSource",
    "Observer",
    "Position",
    "Positions",
    "Producer",
    "Record",
    "Source",
    "TopicState",
    "make_topics",
    "open_observer",
    "open_positions",
    "open_producer",
    "open_source",
]
