"""Models and versions that were deleted are kept for a while: when, and by whom."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0007_uploads"),
    ]

    operations = [
        operation
        for name in ("model", "modelversion")
        for operation in (
            migrations.AddField(
                model_name=name,
                name="deleted_at",
                field=models.DateTimeField(blank=True, db_index=True, editable=False, null=True),
            ),
            migrations.AddField(
                model_name=name,
                name="deleted_by",
                field=models.CharField(blank=True, default="", editable=False, max_length=200),
                preserve_default=False,
            ),
        )
    ]
