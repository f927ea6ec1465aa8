#!/usr/bin/env python3
"""Client of Azurite for the tests, with signatures of its documented account and the standard library only.

usage: azure.py sas PERMISSIONS EXPIRY          print a shared access signature for containers and blobs;
                                                `rwdlac 2999-01-01`
       azure.py put ENDPOINT NAME[=FILE] ...    make the container of the tests and put blobs into it; a NAME
                                                without a file is an empty blob that marks a folder
       azure.py get ENDPOINT PREFIX FOLDER      copy the blobs below a prefix into a folder
"""

import base64
import hashlib
import hmac
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "capfilt"
VERSION = "2020-12-06"


def signature(permissions, expiry):
    """Sign for blobs (ss=b), and for containers and objects (srt=co)."""
    signed = "\n".join([ACCOUNT, permissions, "b", "co", "", expiry, "", "", VERSION, "", ""])
    mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    return urllib.parse.urlencode(
        {
            "sv": VERSION,
            "ss": "b",
            "srt": "co",
            "sp": permissions,
            "se": expiry,
            "sig": base64.b64encode(mac).decode(),
        }
    )


def ask(endpoint, name="", query="", data=None, method=None, **headers):
    url = f"{endpoint}/{CONTAINER}" + (f"/{urllib.parse.quote(name)}" if name else "")
    url += "?" + "&".join(filter(None, [query, signature("rwdlac", "2999-01-01")]))
    headers = {f"x-ms-{name}": value for name, value in headers.items()} | {"x-ms-version": VERSION}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    # Without the proxy of this machine.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()


def put(endpoint, names):
    try:
        ask(endpoint, query="restype=container", data=b"", method="PUT")
    except urllib.error.HTTPError as error:
        if error.code != 409:  # the container exists
            raise
    for name, _, file in (name.partition("=") for name in names):
        data = pathlib.Path(file).read_bytes() if file else b""
        marker = {} if file else {"meta-hdi_isfolder": "true"}
        ask(endpoint, name, data=data, method="PUT", **{"blob-type": "BlockBlob"} | marker)


def get(endpoint, prefix, folder):
    page = ask(endpoint, query="restype=container&comp=list&prefix=" + urllib.parse.quote(f"{prefix}/"))
    for blob in xml.fromstring(page.lstrip(b"\xef\xbb\xbf")).iter("Blob"):
        name = blob.findtext("Name")
        target = pathlib.Path(folder) / name.removeprefix(f"{prefix}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(ask(endpoint, name))


match sys.argv[1:]:
    case ["sas", permissions, expiry]:
        print(signature(permissions, expiry))
    case ["put", endpoint, *names]:
        put(endpoint, names)
    case ["get", endpoint, prefix, folder]:
        get(endpoint, prefix, folder)
    case _:
        sys.exit(__doc__)
