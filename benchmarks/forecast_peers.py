"""What a data scientist would use instead, on the same days: run by `forecast.py`, one per process.

Runs in the environment of requirements-forecast.txt and knows nothing of fitstream. Days not worn
are left out, so a wearer's series is their wear days behind each other; weekday and slot are given.
Models are fitted once on the days before the test; each test day is forecast from all before it.
"""

# ruff: noqa: PLC0415  each contender imports what it alone needs

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

LEVELS = {"q10": 0.1, "q50": 0.5, "q90": 0.9}
DAY, TEST_DAYS, MIN_DAYS = 96, 7, 12
TARGETS = ("steps", "calories_kcal", "heart_rate_bpm")
QUARTER = pd.Timedelta(minutes=15)


def load(path: Path, target: str) -> pd.DataFrame:
    """Wear days with the target: unique_id, ds (slots behind each other), y, slot, weekday, local,
    left (wear days still to come; under 7 = test). Wearers without enough are not in it."""
    rows = pd.read_parquet(path)
    rows = rows[rows["wear_day"].astype(bool)].copy()
    rows["slot_local"] = pd.to_datetime(rows["slot_local"])
    rows["day"] = rows["slot_local"].dt.normalize()
    kept = []
    for wearer, own in rows.groupby("wearer"):
        days = sorted(own["day"].unique())
        if len(days) < MIN_DAYS + TEST_DAYS or own[target].notna().sum() == 0:
            continue
        measured = own.groupby("day")[target].apply(lambda y: y.notna().any())
        days = [day for day in days if measured[day] or day in days[-TEST_DAYS:]]
        grid = pd.MultiIndex.from_product([days, range(DAY)], names=["day", "slot"])
        slot = own["slot_local"].dt.hour * 4 + own["slot_local"].dt.minute // 15
        y = own.assign(slot=slot).groupby(["day", "slot"])[target].mean().reindex(grid)
        made = y.reset_index(name="y")
        made["unique_id"] = wearer
        made["local"] = made["day"] + made["slot"] * QUARTER
        made["weekday"] = made["day"].dt.weekday
        made["ds"] = np.arange(len(made)) + 1
        made["left"] = np.repeat(len(days) - 1 - np.arange(len(days)), DAY)
        usual = made["y"].where(made["left"] >= TEST_DAYS).groupby(made["slot"]).transform("median")
        made["y"] = made["y"].fillna(usual).fillna(made["y"].median())
        kept.append(made)
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()


def lightgbm(rows: pd.DataFrame) -> pd.DataFrame:
    """LightGBM through mlforecast: daily lags and seasonal statistics, a model per quantile."""
    import lightgbm as lgb
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import (
        RollingMean,
        SeasonalRollingMean,
        SeasonalRollingQuantile,
        SeasonalRollingStd,
    )

    common = {
        "n_estimators": 300, "learning_rate": 0.04, "num_leaves": 31, "min_child_samples": 50,
        "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.8, "verbose": -1, "n_jobs": 1,
        "random_state": 0,
    }  # fmt: skip
    models = {
        name: lgb.LGBMRegressor(objective="quantile", alpha=level, **common)
        for name, level in LEVELS.items()
    } | {"mean": lgb.LGBMRegressor(objective="regression", **common)}
    seasonal = [
        SeasonalRollingMean(DAY, 3, min_samples=1),
        SeasonalRollingMean(DAY, 7, min_samples=1),
        SeasonalRollingMean(DAY, 21, min_samples=1),
        SeasonalRollingStd(DAY, 14, min_samples=2),
        SeasonalRollingQuantile(0.1, DAY, 14, min_samples=2),
        SeasonalRollingQuantile(0.5, DAY, 14, min_samples=2),
        SeasonalRollingQuantile(0.9, DAY, 14, min_samples=2),
        RollingMean(DAY, min_samples=1),
        RollingMean(7 * DAY, min_samples=1),
    ]
    forecaster = MLForecast(
        models=models, freq=1, lags=[DAY * k for k in (1, 2, 3, 7, 14)] + [DAY + 1, DAY - 1 + DAY],
        lag_transforms={DAY: seasonal},
    )  # fmt: skip
    columns = ["unique_id", "ds", "y", "slot", "weekday"]
    forecaster.fit(rows.loc[rows["left"] >= TEST_DAYS, columns], static_features=[], dropna=False)

    def next_day(day: pd.DataFrame) -> pd.DataFrame:
        known = day[["unique_id", "ds", "slot", "weekday"]]
        made = forecaster.predict(DAY, X_df=known)
        forecaster.update(day[columns])
        return made

    return _day_by_day(rows, next_day)


def autoets(rows: pd.DataFrame) -> pd.DataFrame:
    """statsforecast's AutoETS on hours, each hour shared out evenly to its quarters."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS

    heart = rows["y"].max() < 300 and rows["y"].min() > 20
    share = 1 if heart else 4
    hours = rows.assign(hour=(rows["ds"] - 1) // 4 + 1)
    keys = ["unique_id", "hour", "left"]
    hours = hours.groupby(keys, as_index=False)["y"].mean()
    hours["y"] *= share

    def next_day(day: pd.DataFrame) -> pd.DataFrame:
        left = int(day["left"].iloc[0])
        past = hours[hours["left"] > left].groupby("unique_id").tail(21 * 24)
        past = past.rename(columns={"hour": "ds"})[["unique_id", "ds", "y"]]
        model = StatsForecast(models=[AutoETS(season_length=24)], freq=1, n_jobs=1)
        made = model.forecast(df=past, h=24, level=[80]).reset_index()
        made = made.loc[made.index.repeat(4)].reset_index(drop=True)
        made["ds"] = day.sort_values(["unique_id", "ds"])["ds"].to_numpy()
        names = {
            "AutoETS-lo-80": "q10", "AutoETS": "q50", "AutoETS-hi-80": "q90",
        }  # fmt: skip
        made = made.rename(columns=names)
        made["mean"] = made["q50"]
        made[["q10", "q50", "q90", "mean"]] = made[["q10", "q50", "q90", "mean"]] / share
        return made

    return _day_by_day(rows, next_day)


def autogluon(rows: pd.DataFrame) -> pd.DataFrame:
    """AutoGluon-TimeSeries without pretrained weights."""
    import tempfile

    from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

    start = pd.Timestamp("2020-01-06")
    rows = rows.assign(timestamp=start + (rows["ds"] - 1) * QUARTER, item_id=rows["unique_id"])

    def frame(part: pd.DataFrame) -> TimeSeriesDataFrame:
        columns = {"y": "target"}
        return TimeSeriesDataFrame.from_data_frame(
            part[["item_id", "timestamp", "y", "slot", "weekday"]].rename(columns=columns)
        )

    with tempfile.TemporaryDirectory() as folder:
        predictor = TimeSeriesPredictor(
            target="target", prediction_length=DAY, freq="15min", eval_metric="WQL",
            quantile_levels=list(LEVELS.values()), path=folder, verbosity=0,
            known_covariates_names=["slot", "weekday"],
        )  # fmt: skip
        predictor.fit(
            frame(rows[rows["left"] >= TEST_DAYS]),
            hyperparameters={
                "SeasonalNaive": {}, "NPTS": {}, "DirectTabular": {}, "RecursiveTabular": {},
            },
            num_val_windows=2, random_seed=0,
        )  # fmt: skip

        def next_day(day: pd.DataFrame) -> pd.DataFrame:
            past = frame(rows[rows["left"] > int(day["left"].iloc[0])])
            named = day.assign(
                timestamp=start + (day["ds"] - 1) * QUARTER, item_id=day["unique_id"]
            )
            known = TimeSeriesDataFrame.from_data_frame(
                named[["item_id", "timestamp", "slot", "weekday"]]
            )
            made = predictor.predict(past, known_covariates=known).reset_index()
            made = made.rename(
                columns={str(level): name for name, level in LEVELS.items()}
                | {"item_id": "unique_id"}
            )
            made["ds"] = ((made["timestamp"] - start) // QUARTER) + 1
            return made

        return _day_by_day(rows, next_day)


def _day_by_day(
    rows: pd.DataFrame, next_day: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    parts = []
    for left in range(TEST_DAYS - 1, -1, -1):
        day = rows[rows["left"] == left]
        made = next_day(day)
        where = day[["unique_id", "ds", "local"]]
        parts.append(made.merge(where, on=["unique_id", "ds"], how="inner"))
    return pd.concat(parts, ignore_index=True)


PEERS = {"lightgbm": lightgbm, "autoets": autoets, "autogluon": autogluon}


def main(name: str, data: str, out: str) -> None:
    """Writes predictions in the form of `fitstream evaluate`."""
    made = []
    for target in TARGETS:
        rows = load(Path(data), target)
        if rows.empty:
            continue
        found = PEERS[name](rows)
        quantiles = np.sort(found[["q10", "q50", "q90"]].to_numpy(), axis=1).clip(min=0)
        found[["q10", "q50", "q90"]] = quantiles
        found["mean"] = found["mean"].clip(lower=0)
        found = found.rename(columns={"unique_id": "wearer", "local": "slot_local"})
        found["target"] = target
        made.append(found[["wearer", "target", "slot_local", "q10", "q50", "q90", "mean"]])
    pd.concat(made, ignore_index=True).to_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
