"""The page docs/findings.md, what each technique of the study is worth, from the records of its ablation."""
