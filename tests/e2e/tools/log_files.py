# SPDX-License-Identifier: BSD-2-Clause
"""Lines of the log taken apart."""
import json
import re

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
FIELD = re.compile(r' (\w+)=("[^"\n]*"|[^ "\n]*)')
EVENT = re.compile(
    rf'^(?:{TIME} info: )?#(\d+) (\S+): (opened|closed):((?: \w+=(?:"[^"\n]*"|[^ "\n]*))+)$', re.MULTILINE)


def text_value(value):
    """A number, or a text without its quotes and escapes."""
    if not value.startswith('"'):
        return int(value) if value.isdigit() else value
    raw = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), value[1:-1])
    return raw.encode("latin-1").decode("utf-8", "replace")


def text_events(log):
    """The lines of the access log in a log of text, as dictionaries like those of json_events()."""
    return [
        {"id": int(match[1]), "client": match[2], "msg": match[3],
         **{name: text_value(value) for name, value in FIELD.findall(match[4])}}
        for match in EVENT.finditer(log)]


def json_lines(log):
    """Each line, which has to be one object."""
    lines = [json.loads(line) for line in log.splitlines()]
    for line in lines:
        assert re.fullmatch(TIME, line["ts"])
        assert line["level"] in ("error", "warning", "notice", "info", "debug")
        assert isinstance(line["msg"], str)
        assert ("id" in line) == ("client" in line)
    return lines


def json_events(log):
    """The lines of the access log, without time and level."""
    return [{name: value for name, value in line.items() if name not in ("ts", "level")}
            for line in json_lines(log) if line["msg"] in ("opened", "closed")]
