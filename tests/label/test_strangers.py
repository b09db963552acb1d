# SPDX-License-Identifier: Apache-2.0
"""The MONAI Label app refuses paths as names, oversized and wrong uploads, unknown names, other servers' pages."""

from __future__ import annotations

import json
import math
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from label_support import MODEL, LabelServer, free_port, png, require_environment

from lungseg.data import phantom
from lungseg.io.limits import MAX_PIXELS

OUTSIDE = ("/etc/passwd", "../secret", "..", "a/../../secret", "%2e%2e/secret", "\x00", ".hidden", "")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.safety("study-as-path")
def test_a_path_is_no_study(label_server, label_studies, name):
    secret = label_studies.parent / "secret.png"
    secret.write_bytes(png(phantom(1, (96, 96))[0]))
    answers = [
        label_server.infer(name),
        label_server.infer("photo", image=str(secret)) if name == "/etc/passwd" else label_server.infer(name),
        label_server.save(name, np.zeros((220, 180), np.uint8)),
        label_server.get("/datastore/image", image=name),
        label_server.get("/datastore/label", label=name, tag="final"),
        label_server.get(f"/lungseg/studies/{name or 'x'}/picture"),
        label_server.form("PUT", "/datastore/image", files={"file": ("x.png", b"x")}, image=name or "/"),
    ]
    if name == "/etc/passwd":  # a parameter cannot put another file in the study's place
        parameter = answers.pop(1)
        assert parameter.labels.shape == label_server.infer("photo").labels.shape
    for answer in answers:
        assert answer.status in (400, 404, 405, 422), answer
        assert b"root:" not in answer.body


@pytest.mark.parametrize("tag", ["../final", "/tmp/x", "", ".x", "a/b"])
@pytest.mark.safety("study-as-path")
def test_a_path_is_no_tag(label_server, label_studies, tag):
    labels = label_server.infer("photo").labels
    status = label_server.save("photo", labels, tag).status
    assert status == (200 if tag == "" else 400)  # no tag is the final one
    if tag == "":
        label_server.ask("DELETE", "/datastore/label?id=photo&tag=final")
    refused = label_server.infer("photo", "json", save_label=True, label_tag=tag or "..")
    assert refused.status == 400
    assert not (label_studies.parent / "final" / "photo.png").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not-a-label-map"),
        (b"GIF89a", "not-a-label-map"),
        (b"\x89PNG\r\n\x1a\n cut short", None),
        (png(np.zeros((60, 60), np.uint8)), "label-map-size"),
        (png(np.full((180, 220), 7, np.uint8)), "label-map-values"),
        (png(np.random.default_rng(0).integers(0, 3, (180, 220, 3), np.uint8)), None),
    ],
    ids=["nothing", "gif", "damaged", "size", "values", "colours"],
)
@pytest.mark.safety("foreign-upload")
def test_only_label_maps_of_the_study_are_saved(label_server, content, code):
    answer = label_server.save("photo", content)
    assert answer.status == 400
    assert answer.detail
    # The codes of unreadable pictures belong to the readers.
    assert code in (None, answer.json["code"])
    assert not {one["id"]: one["labelled"] for one in label_server.get("/lungseg/studies").json}["photo"]


@pytest.mark.safety("foreign-upload")
def test_only_radiographs_are_added(label_server, label_studies):
    for name, content in (("x.png", b"text"), ("x.exe", b"MZ"), ("x.png", b"")):
        answer = label_server.form("PUT", "/datastore/image", files={"file": (name, content)}, image="added")
        assert answer.status == 400, answer
        assert answer.detail
    taken = png(phantom(1, (96, 96))[0])
    answer = label_server.form("PUT", "/datastore/image", files={"file": ("x.png", taken)}, image="photo")
    assert answer.status == 409
    assert not list(label_studies.glob("added*"))


@pytest.mark.safety("large-upload")
def test_an_oversized_upload_is_refused_early(label_server):
    size = 2 * MAX_PIXELS + 2**21
    with socket.create_connection(("127.0.0.1", label_server.port), 30) as connection:
        head = f"PUT /datastore/label?image=photo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(100)
    with socket.create_connection(("127.0.0.1", label_server.port), 60) as connection:
        head = "PUT /datastore/label?image=photo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
        opening = b'--x\r\nContent-Disposition: form-data; name="label"; filename="a.png"\r\n\r\n'
        piece = opening + bytes(2**22 - len(opening))
        try:
            for _ in range(size // len(piece) + 2):
                connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
                piece = bytes(2**22)
        except OSError:  # the server closes the connection
            pass
        assert b" 413 " in connection.recv(100)


@pytest.mark.safety("unknown-call")
def test_unknown_names_are_refused(label_server):
    for method, path in (
        ("POST", "/infer/other?image=photo"),
        ("POST", "/train/other"),
        ("POST", "/activelearning/other"),
        ("POST", "/lungseg/versions/7/activate"),
        ("POST", "/infer/wsi/lung_cxr_segmentation?image=photo"),
        ("PUT", f"/model/{MODEL}"),
        ("DELETE", f"/model/{MODEL}"),
        ("POST", f"/batch/infer/{MODEL}"),
        ("PUT", "/session/"),
        ("GET", "/proxy/dicom/wado/x"),
        ("DELETE", "/datastore/image?id=other"),
        ("PUT", "/datastore/image/info?image=other"),
    ):
        answer = label_server.ask(method, path, b"" if method != "GET" else None)
        assert answer.status in (400, 404, 405), (method, path, answer)
    for params in ("[1]", "{", '"x"'):
        answer = label_server.form("POST", f"/infer/{MODEL}", {"params": params}, image="photo")
        assert answer.status == 400
        assert "params" in answer.detail
    endless = ({"learning_rate": math.nan}, {"learning_rate": 10**400}, {"tolerance": math.inf})
    for wrong in ({"epochs": "many"}, {"epochs": -1}, {"resume": 1}, *endless):
        assert label_server.post(f"/train/{MODEL}", wrong).status == 400


@pytest.mark.safety("foreign-page")
def test_pages_of_other_servers_are_refused(label_server):
    path = f"/infer/{MODEL}?image=photo&output=json"
    assert label_server.ask("POST", path, b"", Origin="http://elsewhere.example").status == 403
    assert label_server.ask("GET", "/lungseg/studies", Host="elsewhere.example").status == 403
    own = label_server.ask("GET", "/lungseg/studies", Origin=label_server.url)
    assert own.status == 200


@pytest.mark.safety("label-lost")
def test_one_label_saved_by_many_at_once_is_complete_and_none_is_lost(label_server, label_studies):
    shape = label_server.infer("phantom-2").labels.shape
    drawn = []
    for number in range(12):
        labels = np.zeros(shape, np.uint8)
        labels[number : number + 20, 10:30], labels[number : number + 20, 60:80] = 1, 2
        drawn.append(labels)
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda labels: label_server.save("phantom-2", labels, "crowd"), drawn))
    assert {answer.status for answer in answers} == {200}
    now = label_server.get("/datastore/label", label="phantom-2", tag="crowd").labels
    from PIL import Image

    replaced = [np.asarray(Image.open(file)) for file in (label_server.work / "replaced" / "crowd").glob("phantom-2.*")]
    kept = [labels.tobytes() for labels in (now, *replaced)]
    assert sorted(kept) == sorted(labels.tobytes() for labels in drawn)
    info = json.loads((label_studies / "datastore_v2.json").read_text())
    assert info["objects"]["phantom-2"]["labels"]["crowd"]["ext"] == ".png"


def test_many_labels_saved_at_once_are_all_listed(label_server):
    names = [one["id"] for one in label_server.get("/lungseg/studies").json]
    with ThreadPoolExecutor(8) as clients:
        drawn = clients.map(lambda name: label_server.infer(name, result_extension=".png").labels, names)
        labels = dict(zip(names, drawn, strict=True))
        answers = list(clients.map(lambda name: label_server.save(name, labels[name], "each"), names))
    assert {answer.status for answer in answers} == {200}
    listed = label_server.get("/datastore/", output="all").json["objects"]
    assert all("each" in listed[name]["labels"] for name in names)


@pytest.mark.safety("local-only")
def test_it_listens_on_this_machine_only(label_server):
    found = {address.split()[1] for address in _listening() if address.split()[1].endswith(f":{label_server.port:04X}")}
    assert found == {f"0100007F:{label_server.port:04X}"}


def _listening() -> list[str]:
    with open("/proc/net/tcp") as table:
        return [line for line in table.readlines()[1:] if line.split()[3] == "0A"]


@pytest.mark.safety("no-token")
def test_with_authentication_every_call_needs_a_token(label_studies, tmp_path):
    require_environment()
    realm = f"http://127.0.0.1:{free_port()}/realms/monailabel"
    variables = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm}
    with LabelServer(label_studies, "--workspace", tmp_path, environment=variables) as server:
        for method, path in (
            ("POST", f"/infer/{MODEL}?image=photo"),
            ("POST", f"/train/{MODEL}"),
            ("POST", "/activelearning/lowest-quality"),
            ("GET", "/lungseg/studies"),
            ("GET", "/lungseg/studies/photo/picture"),
            ("GET", "/lungseg/studies/photo/label"),
            ("GET", "/lungseg/versions"),
            ("POST", "/lungseg/versions/0/activate"),
            ("GET", "/datastore/"),
            ("GET", "/info/"),
        ):
            assert server.ask(method, path, b"" if method == "POST" else None).status == 401, path
        for path in ("/datastore/label?image=photo", "/datastore/image?image=new"):
            assert server.ask("PUT", path, b"").status in (401, 422)
        assert server.get("/auth/").json["enabled"]
        # The realm does not run.
        unsigned = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.e30.AAAA"
        kind = "application/x-www-form-urlencoded"
        for answer in (
            server.ask("POST", "/auth/token", b"username=a&password=b", content_type=kind),
            server.ask("GET", "/lungseg/studies", authorization=f"Bearer {unsigned}"),
        ):
            assert answer.status == 503
            assert "does not answer" in answer.detail
