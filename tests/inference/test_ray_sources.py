# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict --ray` from Parquet files, and from and to S3, as a server on this machine pretends it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from ray_support import Started, cluster, report_of, rows_of
from stopping_support import wait_for

from lungseg.utils.errors import LungsegError

pa = pytest.importorskip("pyarrow")
pytest.importorskip("ray")
moto = pytest.importorskip("moto.moto_server.threaded_moto_server")

import boto3  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from lungseg.inference.ray.sources import find_source  # noqa: E402

pytestmark = pytest.mark.slow


class _Watched(moto.DomainDispatcherApplication):
    """A pretended S3 that does something before it sends an object whose name ends so."""

    before: ClassVar[dict[str, Callable[[], None]]] = {}

    def __call__(self, environ, start_response):
        for ending, act in self.before.items():
            if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(ending):
                act()
        return super().__call__(environ, start_response)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A pretended S3 on the loopback address, which AWS's variables name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto, "DomainDispatcherApplication", _Watched)
        server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
    # It writes a line for each request.
    logging.getLogger("werkzeug").disabled = True
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        patch.delenv("AWS_PROFILE", raising=False)
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def started(endpoint) -> Iterator[Started]:
    """A cluster whose processes know the pretended S3."""
    with cluster(2) as found:
        yield found


@pytest.fixture
def bucket(endpoint):
    """An empty bucket called archive."""
    client = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1")
    bucket = client.create_bucket(Bucket="archive")
    yield bucket
    bucket.objects.delete()
    bucket.delete()


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    """Five phantoms, one in a folder of its own, and a file that is not a picture."""
    folder = tmp_path / "in"
    (folder / "ward b").mkdir(parents=True)
    for name, path in zip(("a", "b", "c", "d", "ward b/é"), sorted((dataset / "CXR_png").iterdir()), strict=False):
        shutil.copy(path, folder / f"{name}.png")
    (folder / "bad.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture
def on_ray(command, started, run_folder):
    """Segment on the cluster."""

    def call(source, target, *options):
        # Those of an earlier run end a moment after it.
        wait_for(lambda: not started.segmenters())
        options = ("--weights", run_folder, "--workers", "1", *options)
        return command("predict", source, "-o", target, *options, "--ray", started.address)

    return call


@pytest.fixture
def expected(source, command, run_folder, tmp_path) -> Path:
    """The folder of the results without Ray."""
    command("predict", source, "-o", tmp_path / "plain", "--weights", run_folder)
    return tmp_path / "plain"


def write_table(path: Path, source: Path, image: str = "image", name: str = "name", **more) -> None:
    """Write the pictures in a folder to a Parquet file of several groups of rows."""
    files = sorted(file for file in source.rglob("*") if file.is_file())
    columns = {name: [str(file.relative_to(source)) for file in files], image: [file.read_bytes() for file in files]}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns | more), path, row_group_size=2)


def test_from_s3_to_s3(source, expected, on_ray, bucket):
    for file in source.rglob("*.png"):
        bucket.upload_file(str(file), f"in/{file.relative_to(source)}")
    bucket.put_object(Key="in/notes.txt", Body=b"not a picture")
    done = on_ray("s3://archive/in", "s3://archive/in/out put", "--save", "masks,overlays")
    assert (done.status, len(done.failures)) == (1, 1), done
    assert "s3://archive/in/bad.png: " in done.failures[0]
    written = {
        item.key.removeprefix("in/out put/"): item.get()["Body"].read()
        for item in bucket.objects.filter(Prefix="in/out put/")
    }
    assert report_of(written["report.csv"].decode()) == report_of((expected / "report.csv").read_text("utf-8"))
    for kind in ("masks", "overlays"):
        files = {
            f"{kind}/{path.relative_to(expected / kind)}": path.read_bytes()
            for path in (expected / kind).rglob("*.png")
        }
        assert len(files) == 5
        assert files.items() <= written.items()

    done = on_ray("s3://archive/in/", "s3://archive/in/out put/", "--save", "masks,overlays")
    assert "(same content, weights and settings): 5" in done.out
    rows = [pq.read_table(pa.BufferReader(content)) for key, content in written.items() if key.startswith("rows/")]
    labels = {row["name"]: row["labels"] for table in rows for row in table.to_pylist() if row["status"] != "failed"}
    assert labels == {name: (expected / "labels" / f"{name}.png").read_bytes() for name in labels}
    assert len(labels) == 5


def test_a_file_that_kills_its_process_fails_alone(source, expected, on_ray, started, bucket, monkeypatch, tmp_path):
    killed = []

    def kill() -> None:
        (process,) = started.segmenters()
        process.kill()
        killed.append(process.pid)

    for file in source.glob("*.png"):
        bucket.upload_file(str(file), file.name.replace("c.png", "poison.png"))
    monkeypatch.setitem(_Watched.before, "/poison.png", kill)
    done = on_ray("s3://archive", tmp_path / "target")
    assert (done.status, len(done.failures), len(set(killed))) == (1, 2, 3), done
    report, plain = (report_of((out / "report.csv").read_text("utf-8")) for out in (tmp_path / "target", expected))
    assert report.pop("poison.png")["code"] == "kills-process"
    assert report == {name: row for name, row in plain.items() if name in report}
    assert len(report) == len(rows_of(tmp_path / "target")) - 1 == 4
    monkeypatch.delitem(_Watched.before, "/poison.png")
    done = on_ray("s3://archive", tmp_path / "target")
    assert len(done.failures) == 1
    assert "(same content, weights and settings): 3" in done.out


def test_an_object_that_cannot_be_read_keeps_its_earlier_row(source, on_ray, bucket, monkeypatch, tmp_path):
    for file in source.glob("*.png"):
        bucket.upload_file(str(file), file.name)
    on_ray("s3://archive", tmp_path / "target", "--save", "masks")
    row, mask = rows_of(tmp_path / "target")["c"], (tmp_path / "target/masks/c.png").read_bytes()
    monkeypatch.setitem(_Watched.before, "/c.png", bucket.Object("c.png").delete)
    done = on_ray("s3://archive", tmp_path / "target", "--save", "masks")
    assert (done.status, len(done.failures)) == (1, 2), done
    assert report_of((tmp_path / "target/report.csv").read_text("utf-8"))["c.png"]["status"] == "failed"
    assert rows_of(tmp_path / "target")["c"] == row
    assert (tmp_path / "target/masks/c.png").read_bytes() == mask
    monkeypatch.delitem(_Watched.before, "/c.png")
    bucket.upload_file(str(source / "c.png"), "c.png")
    done = on_ray("s3://archive", tmp_path / "target", "--save", "masks")
    assert len(done.failures) == 1
    assert "(same content, weights and settings): 4" in done.out


def test_from_parquet(source, expected, on_ray, tmp_path):
    write_table(tmp_path / "tables" / "one.parquet", source)
    done = on_ray(tmp_path / "tables", tmp_path / "target")
    assert (done.status, len(done.failures)) == (1, 1), done
    report = report_of((tmp_path / "target" / "report.csv").read_text("utf-8"))
    assert report == report_of((expected / "report.csv").read_text("utf-8"))
    assert (
        "(same content, weights and settings): 5"
        in on_ray(tmp_path / "tables" / "one.parquet", tmp_path / "target").out
    )


def test_odd_names_in_parquet_files(source, on_ray, tmp_path):
    names = ["a.png", "b" * 300, "c\0.png", "../d.png"]
    pictures = [(source / f"{name}.png").read_bytes() for name in "abcd"]
    pq.write_table(pa.table({"file.name": names, "image": pictures}), tmp_path / "odd.parquet")
    done = on_ray(tmp_path / "odd.parquet", tmp_path / "target", "--save", "masks")
    assert (done.status, len(done.failures)) == (1, 2), done
    rows = rows_of(tmp_path / "target")
    assert {row["file"]: row["code"] for row in rows.values()} == dict(
        zip(names, ("", "name-too-long", "unexpected", ""), strict=True)
    )
    assert sorted(path.name for path in (tmp_path / "target" / "masks").iterdir()) == ["a.png", "d.png"]


def test_columns_of_parquet_files(source, tmp_path):
    write_table(tmp_path / "usual" / "x.parquet", source, "content", "file_name", ward=["x"] * 6)
    found = find_source([str(tmp_path / "usual")], "out")
    assert dict(found.files)["ward b/é.png"] == "ward b/é"

    two = tmp_path / "two.parquet"
    write_table(two, source, image="first", second=[b""] * 6)
    with pytest.raises(LungsegError, match="first, second") as raised:
        find_source([str(two)], "out")
    assert raised.value.code == "column-unknown"
    assert len(find_source([str(two)], "out", "first").files) == 6
    with pytest.raises(LungsegError, match="--name-column") as raised:
        find_source([str(two)], "out", "first", "nobody")
    assert raised.value.code == "column-unknown"

    twice = tmp_path / "twice.parquet"
    pq.write_table(pa.table({"name": ["a", "a"], "image": [b"1", b"2"]}), twice)
    with pytest.raises(LungsegError) as raised:
        find_source([str(twice)], "out")
    assert raised.value.code == "name-clash"

    nested = pa.table({"image": [{"bytes": b"1", "path": "../../etc/a.png"}], "caption": ["lungs"]})
    pq.write_table(nested, tmp_path / "nested.parquet")
    found = find_source([str(tmp_path / "nested.parquet")], "out")
    assert found.files == [("../../etc/a.png", "etc/a")]
    (radiograph,) = found.reader.inputs(nested)
    assert radiograph.read() == b"1"


def test_a_target_among_parquet_files_is_not_searched(source, tmp_path):
    write_table(tmp_path / "tables" / "a.parquet", source)
    write_table(tmp_path / "tables" / "out" / "rows" / "b.parquet", source)
    (tmp_path / "tables" / "out" / "report.csv").touch()
    assert len(find_source([str(tmp_path / "tables")], str(tmp_path / "tables" / "out")).files) == 6


def test_an_object_that_is_named_twice_is_one_radiograph(bucket):
    for name in ("a.png", "ward/a.png"):
        bucket.put_object(Key=f"in/{name}", Body=b"picture")
    for inputs in (["in", "in/ward"], ["in/ward/a.png", "in"]):
        files = find_source([f"s3://archive/{name}" for name in inputs], "out").files
        assert sorted(file for file, _ in files) == ["s3://archive/in/a.png", "s3://archive/in/ward/a.png"]


def test_folders_with_names_that_are_not_utf8_and_links_to_themselves(tmp_path):
    (tmp_path / "in").mkdir()
    name = os.fsdecode(b"\xff.png")
    (tmp_path / "in" / name).touch()
    for link in ("here", "there"):
        (tmp_path / "in" / link).symlink_to(".")
    assert find_source([str(tmp_path / "in")], "out").files == [(str(tmp_path / "in" / name), name[:1])]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (["s3://archive/in", "in"], "mixed-sources"),
        (["s3://archive/nothing"], "no-pictures"),
        (["s3://nobody/in"], "no-pictures"),
        (["table.parquet", "in"], "mixed-sources"),
        (["empty"], "no-pictures"),
        (["empty.parquet"], "no-pictures"),
        (["tables"], "column-unknown"),
    ],
)
def test_inputs_that_cannot_be_used(inputs, code, source, bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_table(tmp_path / "table.parquet", source)
    pq.write_table(pa.table({"name": ["a"], "image": [b"1"]})[:0], tmp_path / "empty.parquet")
    write_table(tmp_path / "tables" / "a.parquet", source)
    write_table(tmp_path / "tables" / "b.parquet", source, name="title")
    with pytest.raises(LungsegError) as raised:
        find_source(inputs, "out")
    assert raised.value.code == code


def test_a_name_that_s3_cannot_have(source, on_ray, bucket):
    (source / "a.png").rename(source / "ward b" / os.fsdecode(b"\xff.png"))
    done = on_ray(source / "ward b", "s3://archive/out", "--save", "masks")
    assert done.status == 0, done
    names = {item.key for item in bucket.objects.filter(Prefix="out/masks/")}
    assert names == {"out/masks/é.png", "out/masks/\\udcff.png"}


def test_a_bucket_that_is_not_there(source, on_ray, endpoint):
    done = on_ray(source, "s3://nobody/out")
    assert done.status == 2
    assert "s3://nobody/out" in done.sentence
