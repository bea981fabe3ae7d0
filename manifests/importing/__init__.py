"""Settings of other tools, read and written down as a source of a manifest: `nightreel import`.

`importing` is the way in: it tells the dialects apart (`dialects`), has one of them read the source, and writes YAML
(`writing`). A dialect is a module; what they share: `documents` (bounded readers of JSON, YAML, literals), `account`
(what became of each key), `draft` (the row, which asks the schema what it can say), `curves` and `moves` (formulas, and
the order in which cameras move), `cameras` (those of Deforum and its kin), `wording` (prompts).
"""
