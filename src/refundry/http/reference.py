def reference_page(document):
    return ""


def stylesheet():
    return b""
