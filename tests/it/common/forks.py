"""Python with its imports done, which forks a process for each request of the tests. `python forks.py witness|sandbox`

It prints the path of a socket, and ends with its standard input, as all that it forked does. Each connection to the
socket brings one JSON document:

    {"code": TEXT, "arguments": [..]}                 runs Python -> {"code": N, "out": TEXT, "err": TEXT}
    {"aws": [..], "environment": {..}}                runs the aws CLI -> the same
    {"sandbox": DIR, "scale": N, "environment": {..}} starts a sandbox as `provisioner sandbox start` does -> nothing

The witness knows nothing of the sandbox and of moto, so that it stays one.
"""

import contextlib
import faulthandler
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import threading
import traceback


# A witness that takes longer hangs: the stacks of its threads go to the tests' standard error, and it ends.
PATIENCE = 40 * 60


def prepare_witness():
    import boto3
    from awscli.clidriver import create_clidriver

    # urllib waits forever unless told otherwise.
    socket.setdefaulttimeout(120)
    boto3.setup_default_session()
    driver = create_clidriver()
    for service in ("autoscaling", "dynamodb", "ec2", "ecr", "eks", "iam", "kms", "logs", "s3", "ssm", "sts"):
        boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        driver.session.get_service_model(service)

    def act(request, connection):
        if "aws" in request:
            os.environ.update(request["environment"])
            run = lambda: driver.main(request["aws"])
        else:
            sys.argv[1:] = request["arguments"]
            run = lambda: exec(request["code"], {"__name__": "__main__"})
        connection.sendall(json.dumps(captured(run)).encode())

    return act


def captured(run):
    """The exit code and all that is written, also by programs that `run` starts."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True, file=os.fdopen(os.dup(2), "w"))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        code = 0
        try:
            code = run() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return {"code": code, "out": texts[0], "err": texts[1]}


def prepare_sandbox():
    from moto.moto_api._internal import mock_random
    from provisioner_sandbox import __main__ as program, server, world  # noqa: F401
    from provisioner_sandbox.kube import cluster  # noqa: F401

    program.warm_up(contextlib.nullcontext(), program.ALL_SERVICES)

    def act(request, connection):
        connection.close()
        # Else every sandbox would give the same identifiers.
        mock_random.seed()
        folder, lifeline = request["sandbox"], os.dup(0)
        os.setpgid(0, 0)
        os.chdir(os.path.dirname(os.path.dirname(folder)))
        log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(file, number)
        threading.Thread(target=lambda: os.read(lifeline, 1) or os._exit(0), daemon=True).start()
        path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "MOTO_ACCOUNT_ID") if name in os.environ}
        os.environ.clear()
        os.environ.update({**path, "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"})
        sys.argv[1:] = ["--state-dir", folder, "--time-scale", str(request["scale"])]
        program.main()

    return act


def serve(act):
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, "socket")
        listener.bind(path)
        listener.listen(64)
        print(path, flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    answer(act, connection)


def answer(act, connection):
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        random.seed()
        with connection.makefile() as request:
            document = json.load(request)
        act(document, connection)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Neither the folder nor anything else of the parent is ended here.
        os._exit(code)


if __name__ == "__main__":
    serve({"witness": prepare_witness, "sandbox": prepare_sandbox}[sys.argv[1]]())
