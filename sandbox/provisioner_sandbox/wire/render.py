"""Results and errors in the shapes that each protocol gives them."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from moto.core.model import OperationModel
from moto.core.serialize import SerializationContext, get_serializer_class

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.wire import cbor
from provisioner_sandbox.wire.message import Answer, Request

XML = "text/xml;charset=UTF-8"
HOST_ID = "sandbox"


def render_result(operation: OperationModel, result: Any, request: Request, protocol: str) -> Answer:
    if protocol == cbor.PROTOCOL:
        return Answer(200, {**cbor.HEADERS, "x-amzn-RequestId": request.id}, cbor.render_cbor(operation, result))
    serializer_class = get_serializer_class(operation.service_model.service_name, protocol)
    serializer = serializer_class(operation, SerializationContext(request.id))
    rendered = serializer.serialize(result)
    body = rendered["body"]
    headers = {key: str(value) for key, value in rendered["headers"].items()}
    headers["x-amzn-RequestId"] = request.id
    return Answer(rendered["status_code"], headers, body.encode() if isinstance(body, str) else body)


def render_error(protocol: str, error: AwsError, request: Request) -> Answer:
    code, message = escape(error.code), escape(error.message)
    if protocol == cbor.PROTOCOL:
        headers = {**cbor.HEADERS, "x-amzn-RequestId": request.id}
        return Answer(error.status, headers, cbor.render_cbor_error(error))
    if protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
            f"<RequestID>{request.id}</RequestID></Response>"
        )
    elif protocol == "query":
        fault = "Sender" if error.status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request.id}</RequestId></ErrorResponse>"
        )
    elif protocol == "rest-xml":
        fields = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in error.fields.items())
        body = (
            f"<Error><Code>{code}</Code><Message>{message}</Message>{fields}"
            f"<RequestId>{request.id}</RequestId><HostId>{HOST_ID}</HostId></Error>"
        )
    else:
        return json_error(error, request)
    if request.method == "HEAD":
        body = ""  # HTTP allows none; clients see the status alone
    headers = {"Content-Type": XML, "x-amz-request-id": request.id, "x-amzn-RequestId": request.id}
    return Answer(error.status, headers, ('<?xml version="1.0" encoding="UTF-8"?>\n' + body).encode() if body else b"")


def json_error(error: AwsError, request: Request) -> Answer:
    body = json.dumps({"__type": error.code, "message": error.message, **error.fields})
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "x-amzn-ErrorType": error.code,
        "x-amzn-RequestId": request.id,
    }
    return Answer(error.status, headers, body.encode())
