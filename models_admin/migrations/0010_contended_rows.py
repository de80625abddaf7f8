"""How many rows an execution holds while a key that sends little stands beside one that floods; 0, as before."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0009_coalesced"),
    ]

    operations = [
        migrations.AddField(
            model_name="policy",
            name="contended_rows",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Rows at once while one key floods. Larger: others wait longer. 0: any.",
                validators=[
                    django.core.validators.MinValueValidator(0),
                    django.core.validators.MaxValueValidator(65536),
                ],
            ),
        ),
    ]
