"""The bus in a topic of Kafka: acknowledged by all replicas, offsets committed once messages were handed over."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from clonewatch.live.bus import MOST_AT_ONCE, Put, packed, unpacked
from clonewatch.live.settings import Settings, size_of
from clonewatch.live.spool import Bounds, Rows
from clonewatch.model.errors import SetupError

_GROUP = "clonewatch"
_PATIENCE = 10.0  # seconds for an answer
_MOST_MESSAGE = 64 << 20
_LOOK = 30.0  # seconds between looks at the partitions

log = logging.getLogger("clonewatch.live")


class KafkaWriter:
    """Produces into a topic. How much and how long Kafka keeps is in its own settings."""

    def __init__(self, producer: Any, topic: str, place: Path, bounds: Bounds) -> None:
        self._producer, self._topic, self.place, self.bounds = producer, topic, place, bounds

    @property
    def size(self) -> int:
        """Unknown here."""
        return 0

    def append(self, rows: Sequence[Rows]) -> None:
        """Return once every replica in sync has the messages."""
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failed.append(error)

        try:
            for one in rows:
                self._producer.produce(self._topic, packed(one), key=one.stream, on_delivery=told)
            left = self._producer.flush(_PATIENCE)
        except (KafkaException, BufferError) as error:
            raise OSError(0, f"Kafka refuses: {type(error).__name__}") from error
        if failed or left:
            why = failed[0].name() if failed else "no answer"
            self._producer.purge()
            raise OSError(0, f"Kafka refuses: {why}")

    def is_full(self, more: int = 1) -> bool:
        """Never: Kafka has room, or refuses."""
        return False

    def seal(self) -> None:
        """Nothing: a message may be taken as soon as it is there."""

    def expire(self, exempt: Sequence[str] = ()) -> int:
        """Nothing: the retention of the topic does it."""
        return 0

    def close(self) -> None:
        """Send what is left."""
        self._producer.flush(_PATIENCE)


class KafkaReader:
    """Reads all partitions of a topic from the committed offsets on.

    It is assigned to them, and joins no group that shares them out: one worker has the state, and so has all of them.
    """

    def __init__(self, consumer: Any, topic: str, most: int) -> None:
        self._consumer, self._topic, self._most = consumer, topic, most
        self._partitions: list[int] = []
        self._looked = -_LOOK

    def drain(self, put: Put) -> int:
        """Hand over messages, and commit their offsets after that."""
        count = 0
        try:
            self._assign()
            while self._partitions and (messages := self._consumer.consume(MOST_AT_ONCE, 0.2)):
                count += self._hand_over(messages, put)
        except KafkaException as error:
            raise OSError(0, f"Kafka refuses: {error.args[0].name()}") from error
        return count

    def _hand_over(self, messages: list[Any], put: Put) -> int:
        if bad := [one.error() for one in messages if one.error() is not None]:
            self._rewind()
            raise OSError(0, f"Kafka refuses: {bad[0].name()}")
        found = [unpacked(one.value() or b"", self._most) for one in messages]
        rows = [one for one in found if one is not None]
        if len(rows) < len(found):
            log.error("messages of the bus are none of ours", extra={"messages": len(found) - len(rows)})
        try:
            put(rows)
        except BaseException:
            self._rewind()
            raise
        self._consumer.commit(asynchronous=False)
        return sum(one.rows for one in rows)

    def _assign(self) -> None:
        """Begin with partitions that are new; a topic may not be there yet."""
        if time.monotonic() - self._looked < _LOOK and self._partitions:
            return
        self._looked = time.monotonic()
        topic = self._consumer.list_topics(self._topic, _PATIENCE).topics[self._topic]
        found = [] if topic.error is not None else sorted(topic.partitions)
        if found != self._partitions:
            self._partitions = found
            self._rewind()

    def _rewind(self) -> None:
        """Go to what was committed, or to the beginning: what could not be put comes again."""
        wanted = [TopicPartition(self._topic, one) for one in self._partitions]
        for held in (places := self._consumer.committed(wanted, _PATIENCE)):
            held.offset = held.offset if held.offset >= 0 else OFFSET_BEGINNING
        self._consumer.assign(places)

    def close(self) -> None:
        """End the connections."""
        self._consumer.close()


def opened(settings: Settings, *, reads: bool) -> KafkaWriter | KafkaReader:
    """One end of the bus at an address such as kafka://host:9092,host:9092/topic. Raises SetupError."""
    parts = urlsplit(settings.bus)
    topic = parts.path.strip("/") or "clonewatch"
    if "/" in topic or "@" in parts.netloc or not parts.netloc:
        raise SetupError("the address is not brokers and a topic", where="bus", fix="Write kafka://host:9092/topic")
    common = {"message.max.bytes": _MOST_MESSAGE, **settings.kafka, "bootstrap.servers": parts.netloc}
    try:
        return _end(common, topic, settings, reads=reads)
    except KafkaException as error:
        said = "a setting of Kafka's library is wrong"
        raise SetupError(f"{said}: {error.args[0].str()}", where="[kafka]", fix="Its names are librdkafka's") from error


def _end(common: dict[str, Any], topic: str, settings: Settings, *, reads: bool) -> KafkaWriter | KafkaReader:
    if reads:
        chosen = {"group.id": _GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        fetch = {"fetch.max.bytes": _MOST_MESSAGE, "receive.message.max.bytes": _MOST_MESSAGE + 1024}
        return KafkaReader(Consumer(common | chosen | fetch), topic, size_of(settings.limits.inflated))
    sure = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "delivery.timeout.ms": int(_PATIENCE * 1000)}
    return KafkaWriter(Producer(common | sure), topic, Path(settings.spool), settings.spool_bounds())
