"""S3Proxy as a service of the stack: the S3 protocol over a folder."""

from pathlib import Path

from fitstream.stack.jars import Tell, class_path, lock_folder
from fitstream.stack.java import java_command
from fitstream.stack.program import Program, listens
from fitstream.stack.secrets_file import Secrets, write_private

_HEAP = "256m"


def s3(folder: Path, port: int, secrets: Secrets, tell: Tell) -> Program:
    """S3Proxy on `folder`/s3; requests are signed with the stack's own key."""
    blobs = folder / "s3" / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    properties = folder / "s3" / "s3proxy.conf"
    settings = {
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.endpoint": f"http://127.0.0.1:{port}",
        "s3proxy.identity": secrets.s3_access_key,
        "s3proxy.credential": secrets.s3_secret_key,
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": str(blobs),
    }
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    write_private(properties, text.encode())
    logging = [f"-Dlogback.configurationFile={lock_folder() / 'logback.xml'}"]
    java = java_command(class_path("s3proxy", tell), _HEAP, logging)
    return Program(
        name="s3",
        command=[*java, "org.gaul.s3proxy.Main", "--properties", str(properties)],
        log=folder / "logs" / "s3.log",
        ready=listens(port),
        stage=0,
    )
