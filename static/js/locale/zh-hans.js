// Made by script/messages.py from locale/zh_Hans/LC_MESSAGES/djangojs.po; do not edit.
export default {};
