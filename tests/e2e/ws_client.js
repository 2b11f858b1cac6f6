// SPDX-License-Identifier: BSD-2-Clause
// Drives Node's `ws` (Debian: node-ws) for test_clients.py: one JSON command per line on standard input, one JSON event per
// line on standard output. Each names the client that it is about. Payload travels as base64.
"use strict";
const readline = require("readline");
const WebSocket = require("ws");

const sockets = new Map();

const open = ({client, url, protocols}) => {
	const tell = (event) => process.stdout.write(JSON.stringify({client, ...event}) + "\n");
	const socket = new WebSocket(url, protocols);
	sockets.set(client, socket);
	socket.on("open", () => tell({event: "open", protocol: socket.protocol}));
	socket.on("message", (data, binary) => tell({event: "message", binary, data: data.toString("base64")}));
	socket.on("pong", (data) => tell({event: "pong", data: data.toString("base64")}));
	socket.on("close", (code, reason) => {
		sockets.delete(client);
		tell({event: "close", code, reason: reason.toString()});
	});
	socket.on("error", (error) => tell({event: "error", message: error.message}));
};

const commands = {
	send: (socket, command) => command.parts.forEach((part, index) => socket.send(Buffer.from(part, "base64"), {
		binary: command.binary, fin: index === command.parts.length - 1})),
	ping: (socket, command) => socket.ping(Buffer.from(command.data, "base64")),
	close: (socket, command) => socket.close(command.code, command.reason),
	end: (socket) => socket.terminate()
};

readline.createInterface({input: process.stdin}).on("line", (line) => {
	const command = JSON.parse(line);
	if (command.command === "open") {
		open(command);
	} else if (sockets.has(command.client)) {
		commands[command.command](sockets.get(command.client), command);
	}
});
