"""How secrets look in plain texts, where no address shows them: keys that tell by themselves whose they are, headers,
and words such as `password:` before a value. Patterns for `manifests/masking.py`, which puts them together.

Prompts go through the same mask as logs. So a word that people also write of other things, `password: swordfish`,
counts only before a value that no sentence has: one with letters and digits. A name that only programs use
(`x-api-key`) counts always. Every quantifier is bounded, or eats what it has looked at: see masking.py.
"""

from __future__ import annotations

__all__ = ["HINTS", "KEYS", "NAMED", "PRIVATE_KEY"]

#: A private key in PEM, line breaks written as `\n` included; one that was cut goes to the end.
PRIVATE_KEY = r"-----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?s:.*?)(?:-----END\ [A-Z0-9\ ]{0,50}-----|\Z)"

#: Tokens that begin with a mark of who issued them, of at least the length that those have.
KEYS = (
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}"  # GitHub
    r"|\bgl(?:pat|dt|rt|ptt|cbt|oas)-[\w-]{20,}"  # GitLab
    r"|\bhf_[A-Za-z0-9]{30,}|\br8_[A-Za-z0-9]{30,}"  # Hugging Face, Replicate
    r"|\bsk-(?:[a-z]{2,10}\d{0,3}-){0,3}(?=[\w-]{0,200}\d)\w{20,}[\w-]*"  # OpenAI, Anthropic
    r"|\b[sr]k_(?:live|test)_\w{16,}|\bwhsec_\w{20,}"  # Stripe
    r"|\bAIza[\w-]{35,}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}"  # Google
    r"|\bnpm_[A-Za-z0-9]{36,}|\bpypi-AgE[\w-]{20,}|\bdop_v1_[0-9a-f]{64}"
    r"|\bSG\.[\w-]{20,24}\.[\w-]{40,}|\bpn[ub]_[A-Za-z0-9]{30,}"  # SendGrid, Prefect
    r"|\bxox[abeprs]-[\w-]{10,}"  # Slack
    r"|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*"  # a JSON Web Token
)

_VALUE = r"[^\s'\",;&<>(){}\[\]]"
_SECRET_VALUE = (
    rf"(?:'(?=[^'\n]{{0,200}}\d)[^'\n]{{6,}}'|\"(?=[^\"\n]{{0,200}}\d)[^\"\n]{{6,}}\""
    rf"|(?={_VALUE}{{0,200}}\d)(?={_VALUE}{{0,200}}[A-Za-z]){_VALUE}{{6,}})"
)
_LONG_VALUE = rf"(?={_VALUE}{{0,200}}\d)(?={_VALUE}{{0,200}}[A-Za-z]){_VALUE}{{16,}}"
# Names that stand in headers and files of settings only.
_OF_PROGRAMS = (
    r"(?:x[-_])?(?:(?:api|auth|access|refresh|session|client|private|csrf|xsrf|security|bearer|account|webhook|bot|job"
    r"|deploy|shared|subscription|master|signing|db|database|user|root|admin|aws)[-_]){1,3}"
    r"(?:key(?:[-_]id)?|token|secret|password|passwd|pwd)|apikey"
)
_IS = r"\s{1,2}(?:is|was)\s{1,2}"
_COLON = r"\\?['\"]?\s{0,2}:\s{0,2}"

#: Names before their values, each a group of its own that is shown.
NAMED = rf"""
    (?P<cookie>\b(?:set-)?cookie{_COLON}b?['"]?)[\w.%~-]{{1,100}}=[^\n'"]+
    | (?P<setting>(?<![A-Za-z0-9])(?:{_OF_PROGRAMS}){_COLON})(?:'[^'\n]+'|"[^"\n]+"|{_VALUE}{{8,}})
    | (?P<tuple>['"](?:{_OF_PROGRAMS}|(?:set-)?cookie)['"],\s{{0,2}}b?)(?:'[^'\n]+'|"[^"\n]+")
    | (?P<password>(?<![A-Za-z0-9])(?:password|passwd|passphrase|passcode|pwd)(?:{_COLON}|{_IS}))
      {_SECRET_VALUE}
    | (?P<word>(?<![A-Za-z0-9])(?:secret|token|credentials?)(?:{_COLON}['"]?|{_IS}['"]?|\s{{1,2}})){_LONG_VALUE}
    | (?P<option>(?<![\w-])--(?:[a-z]{{1,20}}-){{0,3}}(?:password|passwd|token|secret|api-key)[ \t]{{1,3}})
      {_SECRET_VALUE}
"""

#: What a text holds, in lower case, that may match one of these.
HINTS = ("private key", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
         "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "gloas-", "hf_", "r8_", "sk-", "sk_", "rk_", "whsec_", "aiza",
         "ya29.", "gocspx-", "npm_", "pypi-", "dop_v1_", "sg.", "pnu_", "pnb_", "xox", "eyj",
         "cookie", "-key", "_key", "apikey", "token", "secret", "passw", "passphrase", "passcode", "pwd",
         "credential")  # fmt: skip
