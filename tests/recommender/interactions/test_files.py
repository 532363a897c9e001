"""Files of several origins are read into the same histories."""

import numpy as np
import pytest

from recommender.interactions.files import read_sequences, read_table


def test_a_table_is_ordered_by_time_within_each_customer() -> None:
    read = read_table(
        ["user_id:token\titem_id:token\trating:float\ttimestamp:float",
         "u1\tb\t3\t20", "u2\ta\t1\t5", "u1\ta\t4\t10", "u1\tc\t4\t20", ""]
    )  # fmt: skip
    assert read.customers == ("u1", "u2")
    assert read.items == ("a", "b", "c")
    np.testing.assert_array_equal(read.histories.items, [0, 1, 2, 0])
    np.testing.assert_array_equal(read.histories.times, [10, 20, 20, 5])


def test_events_count_as_much_as_is_said_and_others_are_left_out() -> None:
    lines = ["\ufeffvisitorid,itemid,event,timestamp", "1,7,view,1", "1,8,error,2", "1,7,buy,3"]
    read = read_table(lines, weights={"view": 1.0, "buy": 5.0})
    np.testing.assert_array_equal(read.histories.weights, [1.0, 5.0])
    assert read.items == ("7",)


def test_a_file_may_lack_its_heading() -> None:
    lines = ["1::1193::5::978300760\n", "\n", "1::661::3::978300700\n"]
    read = read_table(lines, heading="user_id::movie_id::rating::timestamp")
    assert [read.items[item] for item in read.histories.items] == ["661", "1193"]
    with pytest.raises(ValueError, match="Line 1 cannot be read"):
        read_table(["1::2"], heading="user_id::movie_id::rating::timestamp")


def test_ratings_of_movielens_need_no_heading() -> None:
    ratings = ["1::1193::5::978300760\n", "2::661::3::978298413\n", "1::661::3::978300700\n"]
    table = ["196\t242\t3\t881250949", "186\t302\t3\t891717742"]
    read = read_table(ratings)
    assert (read.customers, read.items) == (("1", "2"), ("1193", "661"))
    np.testing.assert_array_equal(read.histories.items, [1, 0, 1])
    np.testing.assert_array_equal(read.histories.times, [978300700, 978300760, 978298413])
    assert read_table(table).items == ("242", "302")
    with pytest.raises(ValueError, match="Line 2 cannot be read"):
        read_table([ratings[0], "1::2"])


def test_events_of_retailrocket_are_read_as_they_are() -> None:
    lines = ["timestamp,visitorid,event,itemid,transactionid\r\n",
             "1433224214164,257597,view,355908,\r\n",
             "1433221332117,257597,transaction,248676,4000\r\n",
             "1433221999827,111016,addtocart,318965,\r\n"]  # fmt: skip
    read = read_table(lines)
    assert read.customers == ("257597", "111016")
    assert [read.items[item] for item in read.histories.items] == ["248676", "355908", "318965"]
    np.testing.assert_allclose(read.histories.times[0], 1433221332.117)
    counted = read_table(lines, weights={"view": 1.0, "addtocart": 3.0, "transaction": 5.0})
    np.testing.assert_array_equal(counted.histories.weights, [5.0, 1.0, 3.0])


def test_times_may_be_milliseconds_or_dates() -> None:
    lines = ["session,item,time", "1,a,1433221332117", "1,b,2015-06-02T05:02:12.117Z"]
    lines += ["1,c,2015-06-02 05:02:12.117"]
    np.testing.assert_allclose(read_table(lines).histories.times, 1433221332.117)


def test_a_file_without_times_keeps_its_order() -> None:
    read = read_table(["user;item", "1;9", "1;3", "1;5"])
    assert [read.items[item] for item in read.histories.items] == ["9", "3", "5"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["who,what", "1,2"], "Expected a column for customers"),
        ([], "Expected a column for customers"),
        (["user,item,time", "1,2,soon"], "Line 2 cannot be read"),
        (["user,item,time", "1,2,3", "1"], "Line 3 cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(lines: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_table(lines)


def test_lines_of_sequences_have_an_order_and_no_times() -> None:
    read = read_sequences(["1 5 3 9", "", "2 3"])
    assert read.customers == ("1", "2")
    assert [read.items[item] for item in read.histories.items] == ["5", "3", "9", "3"]
    np.testing.assert_array_equal(read.histories.times, 0.0)
