// SPDX-License-Identifier: BSD-2-Clause
// Drives Node's `ws` (Debian: node-ws) for test_clients.py: one JSON command per line on standard input, one JSON event per
// line on standard output. Payload travels as base64.
"use strict";
const readline = require("readline");
const WebSocket = require("ws");

const [, , url, protocols] = process.argv;
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const socket = new WebSocket(url, protocols ? protocols.split(",") : []);

socket.on("open", () => tell({event: "open", protocol: socket.protocol}));
socket.on("message", (data, binary) => tell({event: "message", binary, data: data.toString("base64")}));
socket.on("pong", (data) => tell({event: "pong", data: data.toString("base64")}));
socket.on("close", (code, reason) => {
	tell({event: "close", code, reason: reason.toString()});
	process.exit(0);
});
socket.on("error", (error) => tell({event: "error", message: error.message}));

const commands = {
	send: (command) => command.parts.forEach((part, index) => socket.send(Buffer.from(part, "base64"), {
		binary: command.binary, fin: index === command.parts.length - 1})),
	ping: (command) => socket.ping(Buffer.from(command.data, "base64")),
	close: (command) => socket.close(command.code, command.reason)
};

readline.createInterface({input: process.stdin}).on("line", (line) => {
	const command = JSON.parse(line);
	commands[command.command](command);
});
