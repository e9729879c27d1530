"""Where a value may show that has no business there: the command lines and environments of all processes, and files.

`Look` is a thread that looks all the time. `Door` stands before a server and holds each request until everything has been looked at, so
that no command is too short to be seen.
"""

import base64
import collections
import contextlib
import http.client
import http.server
import os
import re
import stat
import threading
import time

PATIENCE_S = 60


def forms(text):
    """How a text may be written: as it is, in hexadecimal, in Base64 wherever it begins within what is encoded."""
    raw = text.encode()
    found = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        # Without the characters that the neighbours have a part in.
        found.append(encoded[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6])
    return found


class Look(threading.Thread):
    """Looks for texts until it is stopped.

    `folders` are looked through, but for files that `may_hold(path)` allows. A process may have a text in its environment where its
    command line begins with `given`: it is the program that was to get it. Nobody may have one on a command line.
    """

    def __init__(self, folders, given, may_hold):
        super().__init__(daemon=True)
        self.folders, self.given, self.may_hold = folders, str(given).encode(), may_hold
        self.needles = []
        self.rounds, self.turned = 0, threading.Condition()
        # What was found; all processes, with the program's name; those of `given`, and of them those that have a text.
        self.met, self.seen, self.running, self.got = set(), set(), set(), set()
        self.known, self.stopped = {}, False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.join()

    def add(self, *texts):
        self.needles = self.needles + [form for text in texts for form in forms(text)]

    def run(self):
        while not self.stopped:
            self.processes()
            for folder in self.folders:
                self.files(str(folder))
            with self.turned:
                self.rounds += 1
                self.turned.notify_all()
            time.sleep(0.002)

    def holds(self, data):
        return any(needle in data for needle in self.needles)

    def processes(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                line = read(f"/proc/{pid}/cmdline")
                self.seen.add((int(pid), line.split(b"\0")[0].decode()))
                if line.startswith(self.given):
                    self.running.add(int(pid))
                if self.holds(line):
                    self.met.add(f"command line of {pid}: {line[:40]}")
                if self.holds(read(f"/proc/{pid}/environ")):
                    # Of a process that has just become the program the line above is the one before.
                    line = read(f"/proc/{pid}/cmdline")
                    if line.startswith(self.given):
                        self.got.add(int(pid))
                    else:
                        self.met.add(f"environment of {pid}: {line[:40]}")

    def files(self, place):
        """What has been written since it was last read. Links are not followed: those of `run --file` lead into memory."""
        with contextlib.suppress(OSError):
            found = os.lstat(place)
            if stat.S_ISDIR(found.st_mode):
                for name in os.listdir(place):
                    self.files(f"{place}/{name}")
            # By size too: the clock of a file system ticks seldom.
            state = (found.st_ino, found.st_size, found.st_mtime_ns, len(self.needles))
            if not stat.S_ISREG(found.st_mode) or self.known.get(place) == state:
                return
            if self.holds(read(place)) and not self.may_hold(place):
                self.met.add(f"file {place}")
            self.known[place] = state

    def again(self, rounds=2):
        """Until all has been looked at from now on: the round that is under way does not count."""
        with self.turned:
            wanted = self.rounds + rounds
            assert self.turned.wait_for(lambda: self.rounds >= wanted, PATIENCE_S), "the look does not go on"

    def until(self, condition, what):
        ends = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < ends, what
            self.again(1)

    def whole(self, *places):
        """All files once more, also those that do not seem to have changed, and of more places."""
        self.known = {}
        for place in (*self.folders, *places):
            self.files(str(place))


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Door:
    """A server's other address, which counts what is asked and holds each request until `held()` returns."""

    def __init__(self, endpoint, held=lambda: None):
        self.actions, self.lock = collections.Counter(), threading.Lock()
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = self.headers.get("x-acs-action") or "".join(
                    re.findall(r"(?:^|[?&])Action=(\w+)", f"{self.path}&{body.decode(errors='replace')}")[:1]
                )
                with door.lock:
                    door.actions[asked] += 1
                held()
                server = http.client.HTTPConnection(endpoint, timeout=PATIENCE_S)
                # As they came: the signature covers them, the name of the host too.
                server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    server.putheader(name, value)
                server.endheaders(body)
                answer = server.getresponse()
                text = answer.read()
                server.close()
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def profile(self, folder, access_key):
        """A folder that is a profile of this address, for who has the access key."""
        folder.mkdir()
        (folder / "secret").write_text(access_key["AccessKeySecret"])
        (folder / "secret").chmod(0o600)
        (folder / "profile.toml").write_text(
            f'endpoint = "http://{self.endpoint}"\naccess_key_id = "{access_key["AccessKeyId"]}"\nsecret_file = "secret"\n'
        )
        return folder

    def close(self):
        self.server.shutdown()
        self.server.server_close()
