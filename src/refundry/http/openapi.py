def openapi_document(operations, *, version):
    return {}
