"""The database of a skip search, which workers on several machines share."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sterna.golden.errors import FileError, ToolMissing, UsageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["database_errors", "open_storage"]

DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
HEARTBEAT, GRACE = 10, 60  # s: a worker says that it lives; from then on its trial is taken over


def open_storage(url: str) -> "BaseStorage":
    """The database behind an SQLAlchemy URL, in which workers give a sign of life, so that the
    trial of one that died is given to another. UsageError or ToolMissing where there is none."""
    from optuna import exceptions, storages
    from sqlalchemy.exc import ArgumentError

    if not url or url.rstrip("/") in ("sqlite:", "sqlite:///:memory:"):
        raise UsageError(f"storage '{url}' is no file, so every trial would be lost; name a file")
    # Several workers may write to one SQLite file: wait for each other.
    how = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        with database_errors(url), warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
            return storages.RDBStorage(
                url,
                engine_kwargs=how,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=storages.RetryHeartbeatStaleTrialCallback(),
            )
    except ImportError as e:
        real = e.__cause__ if isinstance(e.__cause__, ImportError) else e.__context__
        name = getattr(real, "name", None) or e.name or "its driver"
        raise ToolMissing(
            f"storage {_without_password(url)}: the database's driver {name} is missing; "
            f"pip install {DRIVERS.get(name, name)}"
        ) from e
    except (ArgumentError, ValueError) as e:
        raise UsageError(
            f"storage {_without_password(url)}: is no URL of a database; write "
            "sqlite:///search.db or postgresql://user@host/database"
        ) from e


@contextmanager
def database_errors(url: str) -> Generator[None]:
    """Errors of the database as a sentence of ours, without the password."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        yield
    except ArgumentError:
        raise  # a mistake of whoever wrote the URL, not of the database
    except (SQLAlchemyError, StorageInternalError) as e:
        real = e.__cause__ if isinstance(e, StorageInternalError) and e.__cause__ else e
        cause = str(getattr(real, "orig", None) or real).strip().splitlines()[0]
        raise FileError(
            f"storage {_without_password(url)}: cannot be used ({cause}); see that it is there and "
            "may be written"
        ) from e


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("?")[0].partition("://")
    who, at, where = rest.rpartition("@")
    return f"{scheme}://{who.partition(':')[0]}{at}{where}" if rest else scheme
