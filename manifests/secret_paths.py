"""Paths of web addresses that are secrets, or hold one: those of webhooks, and parts named by the one before.

Patterns for `manifests/masking.py`, which puts them together.
"""

from __future__ import annotations

import re

__all__ = ["INNER", "INNER_HOST", "NAMED_PART", "SECRET_HOSTS", "WEBHOOK", "WEBHOOK_HOSTS"]

WEBHOOK = re.compile(
    r"(?<=/)((?:web)?hooks?(?:-test|-waiting)?|webhookb\d|incomingwebhook|trigger"
    r"|(?-i:services/T[A-Z0-9]{2,30}(?=/B[A-Z0-9]{2,30}/)))/.+|(?<=/)(bot\d+)(?::|%3A).+",
    re.IGNORECASE | re.DOTALL,
)
# Hosts, by how their names begin, whose whole path is a secret: who knows it may write, or read what is written.
SECRET_HOSTS = ("hooks.", "hook.", "maker.ifttt.com", "ntfy.", "hc-ping.com", "webhook.site", "notify.run",
                 "api.day.app", "sctapi.ftqq.com", "events.pagerduty.com")  # fmt: skip
# A part of a path after one that names it: `/download/token/8f3...`; what has no letters and digits is a name.
NAMED_PART = re.compile(
    r"(?<=/)((?:(?:api|access|auth|secret|shared|private|signed)?[-_]?"
    r"(?:token|key|secret|password|passwd|pwd|signature|sig|sas|jwt|credential)s?|auth|oauth2?|bearer|(?:pre)?signed)/)"
    r"(?=[^/]{0,400}\d)(?=[^/]{0,400}[A-Za-z])[^/]{8,}",
    re.IGNORECASE,
)
# One that was written without its scheme, and so was taken for a path.
INNER_HOST = (
    r"(?:hooks?\.(?:[\w-]{1,60}\.){1,4}(?:com|net|io|org|dev|app)|maker\.ifttt\.com|webhook\.site|hc-ping\.com)"
)
INNER = re.compile(rf"(?<=/)({INNER_HOST}/).+", re.IGNORECASE | re.DOTALL)
# Without a scheme, `my.git/hooks/a` is a path of files: the signs of a webhook count on these hosts only.
WEBHOOK_HOSTS = ("discord.com", "discordapp.com", "office.com", "telegram.org", "feishu.cn", "larksuite.com")
