"""Rows in the objects of loggers, stores and APIs: one mechanism finds them whatever the names are."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from tests.path.odd_logs import MAP, call, lines, mapped, read

from clonewatch.adapters.reading import open_log

CALLS = [call(i) for i in range(3)]
PLAIN = lines(*CALLS)

BARE = [{key: value for key, value in one.items() if key != "ts"} for one in CALLS]  # the logger has the time
AT = "2026-03-01T10:00:00.5Z"


def packed(row: object) -> str:
    """A row in base64, as queues carry bytes."""
    return b64encode(json.dumps(row).encode()).decode()


AROUND = {
    "object first": json.dumps({"object": "list", "has_more": False, "data": CALLS}),
    "object after": json.dumps({"data": CALLS, "has_more": False, "object": "list"}),
    "meta obj": json.dumps({"meta": {"page": {"a": [{}]}}, "data": CALLS}),
    "unknown keys": json.dumps({"exported_at": AT, "tool": "x", "records": CALLS}),
    "meta line then wrapper": lines({"exported": AT}, {"data": CALLS}),
    "fluent bit": lines(*({"date": 1772359200.5 + i, "log": json.dumps(c)} for i, c in enumerate(BARE))),
    "fluent bit nl k8s": lines(
        *(
            {
                "date": 1772359200.5 + i,
                "log": json.dumps(c) + "\n",
                "stream": "stdout",
                "kubernetes": {"pod_name": "x"},
                "cluster": "p",
            }
            for i, c in enumerate(BARE)
        )
    ),
    "fluentd": lines(
        *({"container_id": "x", "container_name": "/y", "source": "stdout", "log": json.dumps(c)} for c in CALLS)
    ),
    "gelf": lines(
        *(
            {
                "version": "1.1",
                "host": "h",
                "short_message": json.dumps(c),
                "timestamp": 1772359200.5,
                "level": 6,
                "_app": "x",
            }
            for c in BARE
        )
    ),
    "loki query": json.dumps(
        {
            "status": "success",
            "data": {
                "resultType": "streams",
                "result": [
                    {
                        "stream": {"app": "x"},
                        "values": [[str(1772359200000000000 + i), json.dumps(c)] for i, c in enumerate(BARE[:2])],
                    },
                    {"stream": {"app": "y"}, "values": [["1772359200000000000", json.dumps(BARE[2])]]},
                ],
                "stats": {"a": [{}]},
            },
        }
    ),
    "loki push": json.dumps(
        {
            "streams": [
                {
                    "stream": {"app": "x"},
                    "values": [
                        [str(1772359200000000000 + i), json.dumps(c), {"trace": "x"}] for i, c in enumerate(BARE)
                    ],
                }
            ]
        }
    ),
    "kafka": lines(
        *(
            {"topic": "t", "partition": 0, "offset": i, "ts": 1772359200500, "payload": json.dumps(c)}
            for i, c in enumerate(BARE)
        )
    ),
    "debezium": lines(
        *(
            {"payload": {"before": None, "after": c, "source": {"db": "x"}, "op": "c", "ts_ms": 1772359200500}}
            for c in CALLS
        )
    ),
    "cloudevents": lines(
        *({"specversion": "1.0", "id": "1", "type": "call", "source": "/gw", "time": AT, "data": c} for c in BARE)
    ),
    "journald, bytes": lines(
        *({"MESSAGE": list(json.dumps(c).encode()), "__REALTIME_TIMESTAMP": "1772359200500000"} for c in BARE)
    ),
    "calls": json.dumps({"calls": CALLS, "count": 3}),
    "lines out of an array": "".join(json.dumps(c) + ",\n" for c in CALLS),
    "zeros first": "\0" * 4096 + PLAIN,
    "logcli": lines(*({"labels": {"a": "b"}, "line": json.dumps(c), "timestamp": AT} for c in BARE)),
    "gcp": json.dumps(
        [
            {
                "insertId": "a",
                "jsonPayload": c,
                "timestamp": AT,
                "severity": "INFO",
                "logName": "projects/x",
                "resource": {"type": "k8s"},
            }
            for c in BARE
        ],
        indent=2,
    ),
    "gcp lines text": lines(
        *(
            {
                "insertId": "a",
                "textPayload": json.dumps(c),
                "timestamp": AT,
                "severity": "INFO",
                "logName": "projects/x",
                "resource": {"type": "k8s"},
                "trace": "t",
            }
            for c in BARE
        )
    ),
    "gcp entries": json.dumps(
        {
            "entries": [{"insertId": "a", "jsonPayload": c, "timestamp": AT, "logName": "projects/x"} for c in BARE],
            "nextPageToken": "x",
        }
    ),
    "datadog api": json.dumps(
        {
            "data": [
                {
                    "id": "AA",
                    "type": "log",
                    "attributes": {
                        "timestamp": AT,
                        "service": "s",
                        "host": "h",
                        "status": "info",
                        "tags": ["a:b"],
                        "attributes": c,
                    },
                }
                for c in BARE
            ],
            "links": {"next": "x"},
            "meta": {"page": {"after": "x"}},
        }
    ),
    "datadog api message": json.dumps(
        {
            "meta": {"page": {"after": "x"}},
            "data": [
                {
                    "id": "AA",
                    "type": "log",
                    "attributes": {
                        "timestamp": AT,
                        "service": "s",
                        "host": "h",
                        "status": "info",
                        "tags": ["a:b"],
                        "message": json.dumps(c),
                        "attributes": {"hostname": "x"},
                    },
                }
                for c in BARE
            ],
        }
    ),
    "datadog archive": lines(
        *(
            {
                "_id": "x",
                "date": AT,
                "host": "h",
                "source": "s",
                "service": "x",
                "status": "info",
                "attributes": {"hostname": "q"},
                "message": json.dumps(c),
                "tags": [],
            }
            for c in BARE
        )
    ),
    "cw sub": json.dumps(
        {
            "messageType": "DATA_MESSAGE",
            "owner": "123",
            "logGroup": "g",
            "logStream": "s",
            "subscriptionFilters": ["f"],
            "logEvents": [{"id": "1", "timestamp": 1772359200500, "message": json.dumps(c)} for c in BARE],
        }
    ),
    "cw firehose": "".join(
        json.dumps(
            {
                "messageType": "DATA_MESSAGE",
                "owner": "123",
                "logGroup": "g",
                "logStream": "s",
                "subscriptionFilters": ["f"],
                "logEvents": [{"id": "1", "timestamp": 1772359200500, "message": json.dumps(c)}],
            }
        )
        for c in BARE
    ),
    "es search": json.dumps(
        {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1},
            "hits": {
                "total": {"value": 3},
                "max_score": None,
                "hits": [{"_index": "l", "_id": "x", "_score": 1, "_source": c, "sort": [1]} for c in CALLS],
            },
            "aggregations": {"x": {"buckets": [{"a": 1}]}},
        }
    ),
    "es dump": lines(
        *(
            {
                "_index": "l",
                "_type": "_doc",
                "_id": "x",
                "_score": 1,
                "_source": {
                    "@timestamp": AT,
                    "message": json.dumps(c),
                    "host": {"name": "x"},
                    "log": {"file": {"path": "x"}},
                    "agent": {},
                    "ecs": {},
                },
            }
            for c in BARE
        )
    ),
    "filebeat": lines(
        *(
            {
                "@timestamp": AT,
                "@metadata": {"beat": "filebeat"},
                "message": json.dumps(c),
                "log": {"offset": 1, "file": {"path": "x"}},
                "agent": {},
                "ecs": {},
                "host": {},
                "input": {"type": "log"},
            }
            for c in BARE
        )
    ),
    "splunk export": lines(
        *(
            {
                "preview": False,
                "offset": i,
                "result": {
                    "_raw": json.dumps(c),
                    "_time": AT,
                    "host": "h",
                    "source": "s",
                    "sourcetype": "_json",
                    "index": "main",
                    "_bkt": "x",
                },
            }
            for i, c in enumerate(BARE)
        )
    ),
    "splunk results": json.dumps(
        {
            "preview": False,
            "init_offset": 0,
            "messages": [],
            "fields": [{"name": "_raw"}],
            "results": [{"_raw": json.dumps(c), "_time": AT} for c in BARE],
        }
    ),
    "splunk hec": lines(
        *(
            {"time": 1772359200.5, "host": "h", "source": "s", "sourcetype": "_json", "index": "main", "event": c}
            for c in BARE
        )
    ),
    "splunk hec concat": "".join(
        json.dumps(
            {"time": 1772359200.5, "host": "h", "source": "s", "sourcetype": "_json", "index": "main", "event": c}
        )
        for c in BARE
    ),
    "splunk hec str": lines(*({"time": "1772359200.5", "event": json.dumps(c)} for c in BARE)),
    "vector": lines(
        *({"file": "/x", "host": "h", "message": json.dumps(c), "source_type": "file", "timestamp": AT} for c in BARE)
    ),
    "journald": lines(
        *(
            {
                "MESSAGE": json.dumps(c),
                "__REALTIME_TIMESTAMP": "1772359200500000",
                "PRIORITY": "6",
                "_PID": "1",
                "_HOSTNAME": "h",
                "_SYSTEMD_UNIT": "x",
            }
            for c in BARE
        )
    ),
    "pretty concat": "\n".join(json.dumps(c, indent=2) for c in CALLS),
    "odd pretty": "\n".join(json.dumps(c, indent=2).replace("{\n  ", "{", 1) for c in CALLS),
    "CR": "".join(json.dumps(c) + "\r" for c in CALLS),
    "BOM middle": json.dumps(CALLS[0]) + "\n\ufeff" + lines(*CALLS[1:]),
    "records azure": json.dumps({"records": CALLS}),
    "Records": json.dumps({"Records": CALLS}),
    "odata": json.dumps({"@odata.context": "x", "value": CALLS}),
    "insights": lines(
        *({"@timestamp": "2026-03-01 10:00:00.500", "@message": json.dumps(c), "@ptr": "x"} for c in BARE)
    ),
    "insights results": json.dumps(
        {
            "queryLanguage": "CWLI",
            "results": [
                [
                    {"field": "@timestamp", "value": "2026-03-01 10:00:00.500"},
                    {"field": "@message", "value": json.dumps(c)},
                ]
                for c in BARE
            ],
            "statistics": {"recordsMatched": 3.0},
            "status": "Complete",
        }
    ),
    "pub/sub push": lines(
        *(
            {
                "message": {"attributes": {"k": "v"}, "data": packed(c), "messageId": f"{i}", "publishTime": AT},
                "subscription": "projects/p/subscriptions/s",
            }
            for i, c in enumerate(BARE)
        )
    ),
    "pub/sub pull": json.dumps(
        [
            {"ackId": f"{i}", "message": {"data": packed(c), "messageId": f"{i}", "publishTime": AT}}
            for i, c in enumerate(BARE)
        ],
        indent=2,
    ),
    "pub/sub pull answer": json.dumps(
        {
            "receivedMessages": [
                {"ackId": f"{i}", "message": {"data": packed(c), "messageId": f"{i}", "publishTime": AT}}
                for i, c in enumerate(BARE)
            ]
        }
    ),
    "sqs": json.dumps(
        {
            "Messages": [
                {"MessageId": f"{i}", "ReceiptHandle": "x", "MD5OfBody": "y", "Body": json.dumps(c)}
                for i, c in enumerate(CALLS)
            ]
        },
        indent=4,
    ),
    "sqs to lambda": json.dumps(
        {
            "Records": [
                {
                    "messageId": f"{i}",
                    "receiptHandle": "x",
                    "body": json.dumps(c),
                    "attributes": {"SentTimestamp": "1772359200500"},
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "awsRegion": "eu-west-1",
                }
                for i, c in enumerate(CALLS)
            ]
        }
    ),
    "sns in sqs": json.dumps(
        {
            "Messages": [
                {
                    "MessageId": f"{i}",
                    "ReceiptHandle": "x",
                    "Body": json.dumps(
                        {"Type": "Notification", "TopicArn": "arn:x", "Message": json.dumps(c), "Timestamp": AT}
                    ),
                }
                for i, c in enumerate(CALLS)
            ]
        }
    ),
    "kinesis to lambda": json.dumps(
        {
            "Records": [
                {
                    "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "1", "data": packed(c)},
                    "eventSource": "aws:kinesis",
                    "eventID": f"{i}",
                }
                for i, c in enumerate(CALLS)
            ]
        }
    ),
    "firehose": json.dumps(
        {
            "records": [
                {"recordId": f"{i}", "approximateArrivalTimestamp": 1772359200500, "data": packed(c)}
                for i, c in enumerate(CALLS)
            ]
        }
    ),
}


@pytest.mark.parametrize("written", AROUND.values(), ids=AROUND)
def test_rows_are_found_in_the_objects_of_loggers_and_stores(tmp_path: Path, written: str) -> None:
    file = tmp_path / "e.log"
    file.write_text(written, newline="")
    rows, rejected = read(file)
    assert rejected == [] and open_log(file).formats == ["openai"]
    assert [(row["exchange_id"], row["account_id"], f"{row['ts']:%H:%M}") for row in rows] == [
        (f"chatcmpl-{i}", f"a-{i}", "10:00") for i in range(3)
    ]


def test_a_logger_counts_time_in_its_own_unit(tmp_path: Path) -> None:
    file = tmp_path / "e.log"
    file.write_text(lines(*({"date": 1772359200250, "log": json.dumps(c)} for c in [*CALLS[:2], BARE[2]])))
    rows, rejected = read(file)
    assert rejected == [] and len(rows) == 3


def test_an_object_about_the_export_costs_itself(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines({"exported": AT, "rows": 3}) + PLAIN)
    rows, rejected = read(file)
    assert len(rows) == 3 and [r.line for r in rejected] == [1]


def test_rows_with_lists_and_texts_of_their_own_stay_rows(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    own = [{"when": AT, "who": f"a-{i}", "items": [{"n": 1}], "message": '{"a": 1}'} for i in range(3)]
    file.write_text(lines(*own))
    rows, rejected = read(file, mapped(tmp_path, 'ts="when"\naccount_id="who"', "jsonl_map"))
    assert rejected == [] and [row["account_id"] for row in rows] == ["a-0", "a-1", "a-2"]
    (tmp_path / MAP).write_text('format="jsonl_map"\neach="items"\n[fields]\nts="when"\naccount_id="who"\nturn="n"\n')
    file.write_text(lines(own[0]))
    rows, rejected = read(file, tmp_path / MAP)
    assert rejected == [] and [(row["account_id"], row["turn"]) for row in rows] == [("a-0", 1)]


def test_tables_of_azure_monitor_are_read(tmp_path: Path) -> None:
    """Rows of an answer are lists of values; a map names the columns, also within the JSON of a cell."""
    columns = [{"name": n, "type": "string"} for n in ("TimeGenerated", "CorrelationId", "DurationMs", "properties_s")]
    made = [["2026-03-01T10:00:00.25Z", f"c-{i}", 950.0, json.dumps({"objectId": f"acct-{i}"})] for i in range(3)]
    file = tmp_path / "query.json"
    file.write_text(json.dumps({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": made}]}, indent=1))
    fields = (
        'exchange_id="CorrelationId"\naccount_id="properties_s.objectId"\nts="TimeGenerated"\nlatency_ms="DurationMs"'
    )
    rows, rejected = read(file, mapped(tmp_path, fields, "jsonl_map"))
    assert rejected == []
    assert [(r["exchange_id"], r["account_id"], r["latency_ms"]) for r in rows] == [
        (f"c-{i}", f"acct-{i}", 950) for i in range(3)
    ]
    file.write_text(file.read_text()[:-90])
    rows, rejected = read(file, mapped(tmp_path, fields, "jsonl_map"))
    assert rows == [] and [r.line for r in rejected] == [1]


def test_requests_that_a_browser_or_a_proxy_recorded_are_read(tmp_path: Path) -> None:
    """An HTTP archive (HAR): requests and answers as text, headers as pairs."""
    sent = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    said = {"id": "chatcmpl-9", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "object": "chat"}
    entry = {
        "startedDateTime": "2026-03-01T10:00:00.250Z",
        "time": 950.4,
        "request": {
            "method": "POST",
            "headers": [{"name": "x-account", "value": "acme"}],
            "postData": {"mimeType": "application/json", "text": json.dumps(sent)},
        },
        "response": {"status": 200, "content": {"mimeType": "application/json", "text": json.dumps(said)}},
    }
    file = tmp_path / "calls.har"
    file.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "pages": [], "entries": [entry]}}))
    fields = (
        'account_id="request.headers.x-account"\nts="startedDateTime"\nlatency_ms="time"\nstatus="response.status"\n'
        'messages="request.postData.text"\nresponse_text="response.content.text"'
    )
    (row,), rejected = read(file, mapped(tmp_path, fields, "jsonl_map"))
    assert rejected == [] and (row["account_id"], row["latency_ms"], row["status"]) == ("acme", 950, 200)
    assert (row["model"], row["stop_reason"], row["response_text"]) == ("m", "stop", "x")
