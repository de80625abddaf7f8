"""What the words of a validation's steps and of a version's failure are made of, to say them in the reader's language.

Both may be null, so that the code before this migration writes its rows with and without it.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0012_key_made_with"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="state_said",
            field=models.JSONField(
                blank=True,
                editable=False,
                help_text="What the reason's words are made of, to say them in any language.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="validationstep",
            name="said",
            field=models.JSONField(
                blank=True,
                editable=False,
                help_text="What the message's words are made of, to say them in any language.",
                null=True,
            ),
        ),
    ]
