"""What the words of a rollout's reason are made of, to say them in the reader's language."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0010_contended_rows"),
    ]

    operations = [
        migrations.AddField(
            model_name="rollout",
            name="said",
            field=models.JSONField(
                blank=True, default=list, help_text="What the reason's words are made of, to say them in any language."
            ),
        ),
    ]
