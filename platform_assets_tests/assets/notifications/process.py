"""One delivering process: ``python -m … FOLDER CONFIG_JSON [POINT]``. It says where it is and stops at POINT, to be
killed; without POINT it delivers what waits and says what it did."""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from platform_assets.engine.notifications.spec import NotificationsSpec
from platform_assets_tests.assets.notifications.rig import make_rig


def main(folder: str, config: str, point: str = "") -> None:
    rig = make_rig(Path(folder), NotificationsSpec.model_validate_json(config))
    rig.clock.at = datetime.now(UTC)

    def step(name: str) -> None:
        print(name, flush=True)
        if name == point:
            threading.Event().wait()

    print("ready", flush=True)
    sys.stdin.readline()
    print(rig.process(step).deliver(), flush=True)
    rig.warehouse.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
