"""Another Kafka client for the tests of `tests/it/interop.rs`: `confluent-kafka`, with its
serializers, `fastavro` and `protobuf`.

    peer.py produce --bootstrap B --topic T [--codec C] [--format F] [--schema FILE] [--registry URL]
    peer.py consume --bootstrap B --topic T            [--format F] [--schema FILE] [--registry URL]

A record is a line of JSON, read from stdin by `produce` and written to stdout by `consume`:

    {"key": text, "value": …, "headers": [[name, text], …], "timestamp": ms}

All of it may be null or, for `produce`, left out. What a value is depends on the format:

    text             a text, the record as it is (CSV, lines, JSON that is to be written as it stands)
    hex              the record's bytes as hexadecimal digits
    json             a row
    avro, protobuf   a row, framed if there is a registry

A row is an object. What JSON has no type for is a text: a decimal with its zeros, a time as
`2026-01-01T00:00:00.000001`, a date, and bytes as hexadecimal digits.
"""

import argparse
import datetime
import decimal
import io
import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.serialization import MessageField, SerializationContext

TIMEOUT_S = 30
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    """A value as a row has it."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


class Text:
    def write(self, value, topic):
        return value.encode()

    def read(self, data, topic):
        return data.decode()


class Hex:
    def write(self, value, topic):
        return bytes.fromhex(value)

    def read(self, data, topic):
        return data.hex()


class Json:
    """A number with a fraction is read as the text that it was written as."""

    def write(self, value, topic):
        return json.dumps(value, ensure_ascii=False).encode()

    def read(self, data, topic):
        return json.loads(data, parse_float=str)


class Avro:
    """`fastavro` by itself, or the serializers of the registry, which use it."""

    def __init__(self, schema, registry):
        import fastavro

        self.fastavro = fastavro
        self.schema = fastavro.parse_schema(json.loads(schema)) if schema else None
        self.types = {field["name"]: field["type"] for field in json.loads(schema)["fields"]} if schema else {}
        if registry:
            from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

            client = registry_client(registry)
            self.deserializer = AvroDeserializer(client)
            self.serializer = AvroSerializer(client, schema) if schema else None
        else:
            self.deserializer = self.serializer = None

    def write(self, value, topic):
        row = {name: typed(part, self.types[name]) for name, part in value.items()}
        if self.serializer:
            return self.serializer(row, SerializationContext(topic, MessageField.VALUE))
        out = io.BytesIO()
        self.fastavro.schemaless_writer(out, self.schema, row)
        return out.getvalue()

    def read(self, data, topic):
        if self.deserializer:
            row = self.deserializer(data, SerializationContext(topic, MessageField.VALUE))
        else:
            source = io.BytesIO(data)
            row = self.fastavro.schemaless_reader(source, self.schema)
            assert not source.read(), "bytes after the datum"
        return plain(row)


def typed(value, avro_type):
    """A value of a row as `fastavro` wants it."""
    if isinstance(avro_type, list):
        avro_type = next(branch for branch in avro_type if branch != "null")
    if value is None or not isinstance(value, str):
        return value
    logical = avro_type.get("logicalType") if isinstance(avro_type, dict) else None
    if logical == "decimal":
        return decimal.Decimal(value)
    if logical == "date":
        return datetime.date.fromisoformat(value)
    if logical and logical.startswith("timestamp"):
        return datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.timezone.utc)
    if logical and logical.startswith("local-timestamp"):
        return datetime.datetime.fromisoformat(value)
    if avro_type == "bytes":
        return bytes.fromhex(value)
    return value


class Protobuf:
    """Messages of a compiled `.proto` file, or of what the registry has."""

    def __init__(self, schema, registry):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf import timestamp_pb2  # noqa: F401, the pool must know it

        pool = descriptor_pool.Default()
        files = descriptor_pb2.FileDescriptorSet.FromString(bytes.fromhex(schema))
        for file in files.file:
            if not file.name.startswith("google/protobuf/"):
                pool.Add(file)
                name = ".".join(filter(None, [file.package, file.message_type[-1].name]))
        self.message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        self.serializer = self.deserializer = None
        if registry:
            from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer

            client = registry_client(registry)
            self.serializer = ProtobufSerializer(self.message, client)
            self.deserializer = ProtobufDeserializer(self.message, {}, client)

    def write(self, value, topic):
        message = self.message()
        fill(message, value)
        if self.serializer:
            return self.serializer(message, SerializationContext(topic, MessageField.VALUE))
        return message.SerializeToString()

    def read(self, data, topic):
        if self.deserializer:
            message = self.deserializer(data, SerializationContext(topic, MessageField.VALUE))
        else:
            message = self.message.FromString(data)
        return row_of(message)


def is_timestamp(field):
    return field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp"


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def fill(message, row):
    for name, value in row.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if value is None:
            continue
        if is_timestamp(field):
            time = datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.timezone.utc)
            getattr(message, name).FromDatetime(time)
        elif is_map(field):
            for entry in value:
                getattr(message, name)[entry["key"]] = entry["value"]
        elif field.is_repeated and field.message_type is not None:
            for part in value:
                fill(getattr(message, name).add(), part)
        elif field.is_repeated:
            getattr(message, name).extend(value)
        elif field.message_type is not None:
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        else:
            setattr(message, name, bytes.fromhex(value) if field.type == field.TYPE_BYTES else value)


def row_of(message):
    return {field.name: value_of(message, field) for field in message.DESCRIPTOR.fields}


def value_of(message, field):
    value = getattr(message, field.name)
    if is_map(field):
        return [{"key": key, "value": value[key]} for key in value]
    if field.is_repeated and field.message_type is not None:
        return [row_of(part) for part in value]
    if field.is_repeated:
        return plain(list(value))
    if field.has_presence and not message.HasField(field.name):
        return None
    if is_timestamp(field):
        return plain(value.ToDatetime(datetime.timezone.utc))
    return row_of(value) if field.message_type is not None else plain(value)


def registry_client(url):
    from confluent_kafka.schema_registry import SchemaRegistryClient

    return SchemaRegistryClient({"url": url})


def format_of(arguments):
    match arguments.format:
        case "text":
            return Text()
        case "hex":
            return Hex()
        case "json":
            return Json()
        case "avro":
            return Avro(arguments.schema, arguments.registry)
        case "protobuf":
            return Protobuf(arguments.schema, arguments.registry)


def produce(arguments):
    value_format = format_of(arguments)
    producer = Producer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "compression.type": arguments.codec,
            # Without waiting, records would go alone and none would be compressed.
            "linger.ms": 200,
            "message.timeout.ms": TIMEOUT_S * 1000,
        }
    )
    failures = []
    for line in sys.stdin:
        record = json.loads(line)
        value = record.get("value")
        headers = record.get("headers") or []
        producer.produce(
            arguments.topic,
            key=record.get("key"),
            value=None if value is None else value_format.write(value, arguments.topic),
            headers=[(name, None if text is None else text.encode()) for name, text in headers],
            partition=0,
            timestamp=record.get("timestamp") or 0,
            on_delivery=lambda error, _: error and failures.append(error),
        )
    left = producer.flush(TIMEOUT_S)
    assert not left and not failures, f"{left} records left, {failures}"


def consume(arguments):
    value_format = format_of(arguments)
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "group.id": "interop",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "check.crcs": True,
        }
    )
    partitions = consumer.list_topics(arguments.topic, TIMEOUT_S).topics[arguments.topic].partitions
    consumer.assign([TopicPartition(arguments.topic, partition, 0) for partition in partitions])
    ended = set()
    while len(ended) < len(partitions):
        message = consumer.poll(TIMEOUT_S)
        assert message is not None, "nothing came"
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            ended.add(message.partition())
            continue
        value = message.value()
        record = {
            "key": None if message.key() is None else message.key().decode(),
            "value": None if value is None else value_format.read(value, arguments.topic),
            "headers": [
                [name, None if data is None else data.decode()] for name, data in message.headers() or []
            ],
            "timestamp": message.timestamp()[1],
        }
        print(json.dumps(record, ensure_ascii=False))
    consumer.close()


def main():
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8")
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["produce", "consume"])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--format", default="text", choices=["text", "hex", "json", "avro", "protobuf"])
    # An Avro schema as it is; for Protobuf the hexadecimal digits of a `FileDescriptorSet`.
    parser.add_argument("--schema")
    parser.add_argument("--registry")
    arguments = parser.parse_args()
    {"produce": produce, "consume": consume}[arguments.command](arguments)


if __name__ == "__main__":
    main()
