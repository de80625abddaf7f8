"""Which key made a key, so that those of a key that leaked are found and ended with it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0011_rollout_words"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="made_with",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="made",
                to="models_admin.apikey",
            ),
        ),
    ]
