// What the same takes when it is done plainly: each line of a process goes to each client as it comes.
const { spawn } = require('child_process');
const http = require('http');
const readline = require('readline');

const [program, directory] = process.argv.slice(2);
const clients = new Set();
let seq = 0;

const child = spawn(program, { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] });
child.stdin.end('{}\n');
readline.createInterface({ input: child.stdout }).on('line', (line) => {
  const { type, message } = JSON.parse(line);
  if (type !== 'assistant') return;
  const event = `id: ${++seq}\ndata: ${JSON.stringify({ seq, at: Date.now(), text: message.content[0].text })}\n\n`;
  for (const client of clients) client.write(event);
});

const server = http.createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write('retry: 1000\n\n');
  response.socket.setNoDelay(true);
  clients.add(response);
  response.on('close', () => clients.delete(response));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
