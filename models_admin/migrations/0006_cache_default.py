"""New models' caches begin with S3-FIFO (docs/caching.md has why); what existing models have stays."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0005_tuning"),
    ]

    operations = [
        migrations.AlterField(
            model_name="policy",
            name="cache_eviction",
            field=models.CharField(
                choices=[
                    ("lru", "Least recently used"),
                    ("s3_fifo", "S3-FIFO"),
                    ("sieve", "SIEVE"),
                    ("w_tinylfu", "W-TinyLFU"),
                    ("saved_per_byte", "Model time saved per byte"),
                ],
                default="s3_fifo",
                help_text="Which kept answer goes first when the cache is full.",
                max_length=16,
            ),
        ),
    ]
