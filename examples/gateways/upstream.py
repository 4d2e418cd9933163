"""A stand-in for a model server, to try a gateway with: it answers every POST, and says which headers reached it.

python3 upstream.py 9000
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers as OpenAI's chat completions do."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer, with the headers that are Clonewatch's and the body that came."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        seen = {name: value for name, value in self.headers.items() if name.lower().startswith("clonewatch-")}
        answer = {
            "id": "c1",
            "object": "chat.completion",
            "created": 0,
            "model": "river",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": json.dumps(seen)}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
            "asked": json.loads(body or b"null"),
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
