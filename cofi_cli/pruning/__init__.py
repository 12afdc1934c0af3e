"""Gates, constraint, distillation, plan and compact model."""
