from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from batch_runner.util.object_store import ObjectPrefix, is_valid_address
from tests.harness.object_store import KEY_ID, SECRET, Bucket, FaultyServer, object_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    faulty = FaultyServer(object_server().url)
    for name, value in object_server().environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    yield faulty
    faulty.close()


@pytest.fixture
def bucket() -> Bucket:
    return object_server().new_bucket()


@pytest.fixture
def objects(server: FaultyServer, bucket: Bucket) -> ObjectPrefix:
    return ObjectPrefix(f"s3://{bucket.name}/a/b/")


def test_object_is_stored_below_the_prefix(objects: ObjectPrefix, bucket: Bucket) -> None:
    assert objects.put_new("c/d é%20?.png", b"picture", "image/png")

    assert bucket.objects() == {"a/b/c/d é%20?.png": b"picture"}
    assert bucket.media_type("a/b/c/d é%20?.png") == "image/png"
    assert objects.sizes() == {"c/d é%20?.png": 7}
    assert objects.size("c/d é%20?.png") == 7
    assert objects.size("c") is None
    out = io.BytesIO()
    objects.fetch("c/d é%20?.png", out)
    assert out.getvalue() == b"picture"


def test_existing_object_is_kept(objects: ObjectPrefix, bucket: Bucket) -> None:
    bucket.put("a/b/c", b"first")

    assert not objects.put_new("c", b"second", "image/png")
    assert bucket.objects() == {"a/b/c": b"first"}


def test_dropped_request_is_sent_again(
    server: FaultyServer, objects: ObjectPrefix, bucket: Bucket
) -> None:
    server.faults = ["drop", "drop"]

    assert objects.put_new("c", b"data", "image/png")
    assert bucket.objects() == {"a/b/c": b"data"}


def test_lost_answer_leaves_one_object(
    server: FaultyServer, objects: ObjectPrefix, bucket: Bucket
) -> None:
    server.faults = ["lose"]

    objects.put_new("c", b"data", "image/png")

    assert bucket.objects() == {"a/b/c": b"data"}


def test_refusal_is_said_without_address_and_key(
    server: FaultyServer, objects: ObjectPrefix
) -> None:
    server.status = 403

    with pytest.raises(OSError, match="the object store answers 403 Forbidden") as refused:
        objects.put_new("c", b"data", "image/png")

    assert server.puts == 1
    shown = f"{refused.value!r} {refused.value.__cause__!r}"
    assert all(one not in shown for one in (KEY_ID, SECRET, "127.0.0.1"))


def test_missing_object_is_not_found(objects: ObjectPrefix) -> None:
    with pytest.raises(FileNotFoundError):
        objects.read("c")
    objects.remove("c")


def test_check_leaves_nothing_behind(objects: ObjectPrefix, bucket: Bucket) -> None:
    objects.check_writable()

    assert bucket.objects() == {}


def test_store_that_overwrites_is_refused(
    server: FaultyServer, objects: ObjectPrefix, bucket: Bucket
) -> None:
    server.conditions = False

    with pytest.raises(OSError, match="overwrites objects"):
        objects.check_writable()
    assert bucket.objects() == {}


def test_missing_bucket_is_named_as_such(server: FaultyServer) -> None:
    with pytest.raises(OSError, match="the bucket does not exist"):
        ObjectPrefix("s3://no-such-bucket").check_writable()


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_named(
    objects: ObjectPrefix, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable)

    with pytest.raises(OSError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        objects.check_readable()


def test_endpoint_that_is_no_address_is_refused(
    objects: ObjectPrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio.example:9000")

    with pytest.raises(OSError, match="AWS_ENDPOINT_URL is not an address"):
        objects.check_readable()


def test_without_the_extra_its_name_is_said(
    objects: ObjectPrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(OSError, match=r'pip install "batch-runner\[s3\]"'):
        objects.check_writable()
    with pytest.raises(OSError, match="extra s3"):
        objects.sizes()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("s3://bucket", True),
        ("s3://bucket/", True),
        ("s3://my.bucket-1/year of the horse/ü", True),
        ("s3://b", False),
        ("s3:/bucket", False),
        ("s3://bucket//a", False),
        ("s3://bucket/../a", False),
        ("s3://key:secret@bucket/a", False),
        ("s3://Bucket", False),
    ],
)
def test_address_is_bucket_and_prefix(text: str, valid: bool) -> None:
    assert is_valid_address(text) == valid
