"""Configurations: every default of the project is decided here and nowhere else."""

from cofi_cli.config.bench import BenchConfig
from cofi_cli.config.export import ExportConfig
from cofi_cli.config.prune import ALL_GATES, FAMILY, TARGETS, CaseConfig, GateGroup, PruneConfig
from cofi_cli.config.run import DistillConfig, RecoverConfig, RunConfig, TeacherConfig, TrainConfig
from cofi_cli.config.section import Section
from cofi_cli.config.task import KIND_NAMES, KindName, TaskConfig
