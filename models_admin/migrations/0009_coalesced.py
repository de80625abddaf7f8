"""Requests that shared an identical one's execution are counted as that; a decision's words keep what they are made of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0008_deleted"),
    ]

    operations = [
        migrations.AddField(
            model_name="decision",
            name="said",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="{explanation, expected, outcome: what the words are made of}, to say them in any language.",
            ),
        ),
        migrations.AddField(
            model_name="metricsample",
            name="coalesced",
            field=models.PositiveIntegerField(
                default=0, help_text="Answered by the execution of an identical request; neither hit nor miss."
            ),
        ),
    ]
