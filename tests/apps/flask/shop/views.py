"""A service of one page."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def root() -> dict[str, str]:
    return {"shop": "open"}
