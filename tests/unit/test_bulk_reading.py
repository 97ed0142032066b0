"""A file of refunds, line by line."""

import pytest

from refundry.bulk.reading import (
    COLUMNS,
    MOST_LINES,
    TEMPLATE,
    BadSheet,
    Sheet,
    body_text,
    read_request,
    read_row,
    read_sheet,
)
from refundry.domain.refund import RefundAsk

HEAD = "order_id,amount,currency"


def sheet(text: str) -> Sheet:
    return read_sheet(text.encode())


def test_a_line_is_the_body_of_a_request() -> None:
    (row,) = sheet(f"{HEAD},type,reason,metadata.Ticket\n4711,13.51,USD,tax,late,T 1\n").rows
    assert row.body == {
        "orderId": "4711", "amount": "13.51", "currency": "USD", "type": "tax", "reason": "late",
        "metadata": {"Ticket": "T 1"},
    }  # fmt: skip
    assert (row.number, row.order_id, row.problems) == (2, "4711", ())
    ask = read_request(body_text(row.body))
    assert isinstance(ask, RefundAsk)
    assert ask.metadata == '{"Ticket":"T 1"}'


def test_a_line_with_an_item_is_a_request_for_that_item() -> None:
    text = "order_id,percent,currency,sku_id,quantity,type\n4711,50 %,USD,sku-tee,1,fees\n"
    (row,) = sheet(text).rows
    assert row.body["items"] == [
        {"skuId": "sku-tee", "quantity": "1", "percent": "50", "type": "fees"}
    ]
    assert "percent" not in row.body


def test_the_template_is_read() -> None:
    rows = sheet(TEMPLATE).rows
    assert len(rows) == 3
    assert not any(row.problems for row in rows)
    for row in rows:
        assert isinstance(read_request(body_text({**row.body, "orderId": "1"})), RefundAsk)
    assert set(COLUMNS) < set(sheet(TEMPLATE).head)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + "\r\n1,2,USD\r\n",
        "order_id;amount;currency\n1;2;USD\n",
        "order_id\tamount\tcurrency\n1\t2\tUSD",
        ' Order_ID , AMOUNT,"currency",,\n" 1 ",2,USD,,\n\n , ,\n',
    ],
)
def test_spreadsheets_write_csv_in_their_own_ways(text: str) -> None:
    (row,) = sheet(text).rows
    assert row.body == {"orderId": "1", "amount": "2", "currency": "USD"}


def test_lines_are_counted_as_an_editor_does() -> None:
    rows = sheet(f'{HEAD},reason\n\n1,2,USD,"two\nlines"\n3,4,USD,\n').rows
    assert [row.number for row in rows] == [3, 5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "order_id or upstream_id is missing"),
        (HEAD.encode(), "no lines"),
        (b"order_id,amount\n1,2\n", "currency is missing"),
        (b"order_id,currency\n1,USD\n", "amount or percent is missing"),
        (f"{HEAD},colour\n1,2,USD,red\n".encode(), "'colour' is no column"),
        (f"{HEAD},amount\n1,2,USD,3\n".encode(), "'amount' is there twice"),
        (b"order_id,amount,currency\n\xe41,2,USD\n", "not UTF-8"),
        (f"{HEAD}\n1\x00,2,USD\n".encode(), "characters"),
        (f'{HEAD}\n"1,2,USD\n'.encode(), "Line 2 is not CSV"),
        (b"x" * 5_000_001, "larger than 5 MB"),
        ((HEAD + "\n1,2,USD" * (MOST_LINES + 1)).encode(), "more than 10,000 lines"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, words: str) -> None:
    with pytest.raises(BadSheet, match=words):
        read_sheet(content)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (",2,USD,,", "names no order"),
        ('1,"1,000",USD,,', "write it like 1234.56"),
        ("1,2,USD,3,", "needs an item_id"),
        ("1,2,USD,,re_7", "refunded already: re_7"),
        ("1,1,000.00,USD,,x", "more cells than the head"),
        (f"1,{'2' * 2001},USD,,", "longer than 2,000"),
    ],
)
def test_a_line_that_is_no_request_says_why_now_and_when_it_is_read_again(
    line: str, words: str
) -> None:
    found = sheet(f"{HEAD},quantity,refund_id\n{line}\n")
    (row,) = found.rows
    assert words in " ".join(row.problems)
    again = read_row(row.number, found.head, row.cells)
    assert again.problems == row.problems


@pytest.mark.parametrize("amount", ["0", "-5", "1e400", "NaN", "five", "=1+1", "１２"])
def test_amounts_are_those_of_the_api(amount: str) -> None:
    (row,) = sheet(f"{HEAD}\n1,{amount},USD\n").rows
    assert read_request(body_text(row.body)) == (f"'{amount}' is not a valid amount.",)
