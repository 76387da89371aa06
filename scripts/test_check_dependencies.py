"""Shows that check-dependencies.py lets good trees pass and that each of its rules can fail."""

import importlib.util
import unittest
from pathlib import Path

specification = importlib.util.spec_from_file_location(
    "check_dependencies", Path(__file__).with_name("check-dependencies.py")
)
check = importlib.util.module_from_spec(specification)
specification.loader.exec_module(check)

CRATES_IO = "https://github.com/rust-lang/crates.io-index"
RULES = {
    "graph": {"targets": []},
    "licenses": {"allow": ["MIT", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"], "include-dev": True},
    "bans": {"multiple-versions": "warn", "deny": [{"crate": "openssl"}]},
    "sources": {"unknown-registry": "deny", "unknown-git": "deny", "allow-registry": [CRATES_IO]},
}


def tree(**changes):
    package = {"id": "a", "name": "a", "version": "1.0.0", "license": "MIT", "source": f"registry+{CRATES_IO}"}
    return {"workspace_members": ["us"], "packages": [{**package, **changes}]}


class Licences(unittest.TestCase):
    def test_expressions(self):
        allowed = set(RULES["licenses"]["allow"])
        for expression, expected in {
            "MIT": True,
            "MIT OR GPL-3.0": True,
            "GPL-3.0 OR MIT": True,
            "GPL-3.0/MIT": True,
            "MIT AND GPL-3.0": False,
            "GPL-3.0 AND MIT": False,
            "(MIT OR GPL-3.0) AND Unicode-3.0": True,
            "(MIT OR Unicode-3.0) AND GPL-3.0": False,
            "MIT OR Unicode-3.0 AND GPL-3.0": True,
            "GPL-3.0 OR GPL-2.0": False,
            "Apache-2.0 WITH LLVM-exception": True,
            "Apache-2.0": False,
            "MIT WITH LLVM-exception": False,
            "GPL-3.0 AND MIT OR Apache-2.0 WITH LLVM-exception": True,
        }.items():
            with self.subTest(expression):
                self.assertIs(check.licence_is_allowed(expression, allowed), expected)

    def test_broken_expressions(self):
        for expression in ["", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT GPL-3.0", "MIT WITH", "()"]:
            with self.subTest(expression), self.assertRaises(check.LicenceError):
                check.licence_is_allowed(expression, {"MIT"})


class Rules(unittest.TestCase):
    def test_a_good_tree_passes(self):
        self.assertEqual(list(check.problems(tree(), RULES)), [])
        self.assertEqual(list(check.unknown_rules(RULES)), [])

    def test_each_rule_can_fail(self):
        for changes, words in [
            ({"name": "openssl"}, "banned"),
            ({"license": "GPL-3.0"}, "'GPL-3.0' is not allowed"),
            ({"license": "MIT OR"}, "ends too early"),
            ({"license": None}, "names no licence"),
            ({"source": "git+https://example.org/a"}, "git+https://example.org/a"),
            ({"source": "registry+https://example.org/index"}, "https://example.org/index"),
            ({"source": None}, "comes from a folder"),
        ]:
            with self.subTest(words):
                [line] = check.problems(tree(**changes), RULES)
                self.assertIn(words, line)

    def test_our_own_package_comes_from_a_folder(self):
        self.assertEqual(list(check.problems(tree(id="us", source=None), RULES)), [])

    def test_duplicates_are_reported(self):
        metadata = tree()
        metadata["packages"] += tree(version="2.0.0")["packages"]
        self.assertEqual(list(check.duplicates(metadata)), ["a: 1.0.0, 2.0.0"])

    def test_a_rule_that_is_not_known_is_refused(self):
        for rules in [
            {"advisories": {"yanked": "deny"}},
            {"licenses": {"exceptions": []}},
            {"bans": {"deny": [{"crate": "openssl", "wrappers": ["a"]}]}},
            {"bans": {"deny": [{"crate": "openssl@0.10"}]}},
        ]:
            with self.subTest(rules):
                self.assertEqual(len(list(check.unknown_rules(rules))), 1)


if __name__ == "__main__":
    unittest.main()
