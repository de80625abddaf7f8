"""What the catalogue's collector finds in templates, Python and scripts."""

from __future__ import annotations

from script.messages import Message, of_python, of_script, of_template


def test_a_templates_messages() -> None:
    source = """{% load i18n %}<p title="{% translate 'Some words' %}">{{ note|default:_("None yet") }}</p>
    {% blocktranslate trimmed count count=rows|length with name=model.name %}
      {{ count }} row of {{ name }}{% plural %}{{ count }} rows of {{ name }}
    {% endblocktranslate %}"""
    assert set(of_template(source)) == {
        Message("Some words"),
        Message("None yet"),
        Message("%(count)s row of %(name)s", plural="%(count)s rows of %(name)s"),
    }


def test_a_modules_messages() -> None:
    source = """
LABEL = gettext_lazy("Label")
def words(count):
    return _("Two " "parts") + ngettext("%(n)s one", "%(n)s many", count) + pgettext("noun", "Set") + other("Not this")
"""
    assert set(of_python(source)) == {
        Message("Label"),
        Message("Two parts"),
        Message("%(n)s one", plural="%(n)s many"),
        Message("Set", context="noun"),
    }


def test_a_scripts_messages() -> None:
    source = 'say(t("Stale since {since}", { since })); tn("{count} row", "{count} rows", 2); test("no"); x.t("no");'
    assert set(of_script(source)) == {Message("Stale since {since}"), Message("{count} row", plural="{count} rows")}
