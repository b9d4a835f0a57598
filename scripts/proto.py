"""Generate the Protobuf modules; with --check, tell whether the committed ones are current."""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generate(target: Path) -> list[Path]:
    """Write the modules of every .proto file below `target`; return their relative paths."""
    sources = sorted(path.relative_to(ROOT) for path in (ROOT / "proto").rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={target}"]
    plugin = Path(sys.executable).parent / "protoc-gen-mypy"
    command += [f"--plugin=protoc-gen-mypy={plugin}", f"--mypy_out=quiet:{target}"]
    subprocess.run([*command, *map(str, sources)], cwd=ROOT, check=True)  # noqa: S603
    return [
        source.with_name(source.stem + suffix)
        for source in sources
        for suffix in ("_pb2.py", "_pb2.pyi")
    ]


def main() -> int:
    if "--check" not in sys.argv[1:]:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as directory:
        stale = [
            path
            for path in generate(Path(directory))
            if not (ROOT / path).exists()
            or (ROOT / path).read_bytes() != (Path(directory) / path).read_bytes()
        ]
    for path in stale:
        sys.stderr.write(f"{path} is not what its .proto gives: run `make proto`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
