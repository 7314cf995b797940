"""The referee: reads documents with expat and tells what it made of each.

`expat.py streams IN OUT`: IN and OUT are sequences of records, a length in decimal, a line feed, that many bytes. IN
holds whole documents; OUT, for each, `refused: why` or what the children of its root mean, as `support::dump` writes it.
`expat.py serve`: the same over standard input and output, one by one: two records, a document and what the children
of its root should mean; the answer is `yes` or, in one line, what it is instead.
`expat.py names OUT`: OUT holds one digit per character from U+0000 to U+FFFF: 1 may stand in a name, 2 may begin one.
"""

import sys
from pyexpat import ExpatError, ParserCreate

# Characters that users of expat join names by. A namespace name that holds one is refused.
SEPARATORS = ["}", " ", "\n", "|", "\t"]


def expanded(name, separator):
    namespace, _, local = name.rpartition(separator)
    return "{%s}%s" % (namespace, local)


class Meaning:
    def __init__(self, separator):
        self.separator = separator
        self.depth = 0
        self.parts = []
        self.text = []

    def flush(self):
        text = "".join(self.text)
        self.text.clear()
        if text and self.depth > 1:
            self.parts.append("=%d:%s\n" % (len(text.encode()), text))

    def start(self, name, attributes):
        self.flush()
        self.depth += 1
        if self.depth == 1:
            return
        self.parts.append("<%s\n" % expanded(name, self.separator))
        lines = ["@%s=%d:%s\n" % (expanded(key, self.separator), len(value.encode()), value)
                 for key, value in attributes.items()]
        self.parts.extend(sorted(lines, key=str.encode))

    def end(self, _name):
        self.flush()
        if self.depth > 1:
            self.parts.append(">\n")
        self.depth -= 1


def meaning(document, separator):
    parser = ParserCreate("UTF-8", separator)
    found = Meaning(separator)
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text.append
    try:
        parser.Parse(document, True)
    except ExpatError as error:
        return "refused: %s" % error
    return "".join(found.parts)


def records(file):
    while line := file.readline():
        yield file.read(int(line))


def streams(source, target):
    with open(source, "rb") as documents, open(target, "wb") as answers:
        for nth, document in enumerate(records(documents)):
            answer = meaning(document, SEPARATORS[nth % len(SEPARATORS)]).encode()
            answers.write(b"%d\n%s" % (len(answer), answer))


def serve():
    incoming = records(sys.stdin.buffer)
    for nth, (document, meant) in enumerate(zip(incoming, incoming)):
        found = meaning(document, SEPARATORS[nth % len(SEPARATORS)])
        if found == meant.decode():
            answer = "yes"
        else:
            answer = found if found.startswith("refused") else "taken otherwise: %r" % found[:2000]
        sys.stdout.write("%s\n" % answer)
        sys.stdout.flush()


def well_formed(document):
    try:
        ParserCreate("UTF-8", "}").Parse(document.encode(), True)
    except (ExpatError, UnicodeEncodeError):
        return False
    return True


def names(target):
    with open(target, "w") as answers:
        for code in range(0x10000):
            follows = well_formed("<a%s/>" % chr(code)) and chr(code) not in " \t\r\n/:"
            answers.write("2" if follows and well_formed("<%s/>" % chr(code)) else "1" if follows else "0")


if sys.argv[1] == "names":
    names(sys.argv[2])
elif sys.argv[1] == "serve":
    serve()
else:
    streams(sys.argv[2], sys.argv[3])
