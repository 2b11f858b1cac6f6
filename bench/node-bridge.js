// SPDX-License-Identifier: BSD-2-Clause
//
// The bridge that one writes with node and ws in an afternoon, as a contestant.
//   node node-bridge.js LISTEN_PORT PEER_PORT
'use strict';
const net = require('net');
const { WebSocketServer } = require('ws');

const [listenPort, peerPort] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({
	host: '127.0.0.1',
	port: listenPort,
	backlog: 4096,
	perMessageDeflate: false,
	maxPayload: 0,
});
server.on('connection', (client) => {
	const peer = net.connect({ host: '127.0.0.1', port: peerPort, noDelay: true });
	client.on('message', (data) => {
		if(!peer.write(data)) {
			client.pause();
			peer.once('drain', () => client.resume());
		}
	});
	peer.on('data', (data) => {
		client.send(data, { binary: true });
		if(client.bufferedAmount > 256 * 1024) {
			peer.pause();
			const timer = setInterval(() => {
				if(client.bufferedAmount < 64 * 1024) {
					clearInterval(timer);
					peer.resume();
				}
			}, 1);
		}
	});
	client.on('close', () => peer.end());
	client.on('error', () => peer.destroy());
	peer.on('close', () => client.close());
	peer.on('error', () => client.close(1011));
});
