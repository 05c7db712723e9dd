//! Orders: the shipped ones and any file like them. Parsing only; nothing here talks to a cluster.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Ships with the program; its source is named in data/README.md and in `--help`.
const SHIPPED: &str = include_str!("../../data/cdnow_purchases_7000.csv");
const SHIPPED_NAME: &str = "the shipped orders";

/// One purchase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Order {
    /// Its place by date, from 1.
    pub(super) row: u32,
    /// Who bought.
    pub(super) customer: String,
    /// The day, as `YYYY-MM-DD`.
    pub(super) date: String,
    /// How many; at least 1.
    pub(super) quantity: i64,
    /// The whole amount in cents; at least 0.
    pub(super) cents: i64,
}

impl Order {
    /// What was bought, named by its unit price in cents, rounded down.
    pub(super) fn product(&self) -> i64 {
        self.cents / self.quantity
    }

    /// The row as it is stored.
    pub(super) fn value(&self) -> String {
        format!(
            "{},{},{},{}",
            self.customer, self.date, self.quantity, self.cents
        )
    }
}

/// Why orders cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrdersError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not a file of orders.
    #[error("{name} cannot be read; the columns are customer,date,quantity,cents")]
    Csv {
        /// Which.
        name: String,
        /// Where and why.
        #[source]
        source: csv::Error,
    },
    /// A row makes no sense.
    #[error("{name}, line {line}: {what}")]
    Row {
        /// Which file.
        name: String,
        /// The line, from 1; the header is line 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// There are no rows.
    #[error("{name} has no orders")]
    Empty {
        /// Which file.
        name: String,
    },
}

#[derive(serde::Deserialize)]
struct Row {
    customer: String,
    date: String,
    quantity: i64,
    cents: i64,
}

impl Row {
    fn problem(&self) -> Option<&'static str> {
        if self.customer.is_empty() {
            return Some("the customer is missing");
        }
        if !is_date(&self.date) {
            return Some("the date is not YYYY-MM-DD");
        }
        if self.quantity < 1 {
            return Some("the quantity is less than 1");
        }
        (self.cents < 0).then_some("the amount is negative")
    }
}

fn is_date(text: &str) -> bool {
    let mut characters = text.bytes();
    text.len() == 10
        && "dddd-dd-dd"
            .bytes()
            .all(|wanted| match (wanted, characters.next()) {
                (b'd', Some(found)) => found.is_ascii_digit(),
                (wanted, found) => found == Some(wanted),
            })
}

/// The orders that ship with the program.
pub(super) fn shipped() -> Result<Vec<Order>, OrdersError> {
    parse(SHIPPED.as_bytes(), SHIPPED_NAME)
}

/// The orders of a file.
///
/// # Errors
///
/// It cannot be opened, is no file of orders, or has none.
pub(super) fn from_file(path: &Path) -> Result<Vec<Order>, OrdersError> {
    let file = std::fs::File::open(path).map_err(|source| OrdersError::Open {
        path: path.to_owned(),
        source,
    })?;
    parse(file, &path.display().to_string())
}

/// Orders by date; those of one day stay in the order of the file.
fn parse(input: impl Read, name: &str) -> Result<Vec<Order>, OrdersError> {
    let mut rows = Vec::new();
    let mut reader = csv::Reader::from_reader(input);
    for (row, line) in reader.deserialize::<Row>().zip(2..) {
        let row = row.map_err(|source| OrdersError::Csv {
            name: name.to_owned(),
            source,
        })?;
        if let Some(what) = row.problem() {
            let name = name.to_owned();
            return Err(OrdersError::Row { name, line, what });
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(OrdersError::Empty {
            name: name.to_owned(),
        });
    }
    rows.sort_by(|left, right| left.date.cmp(&right.date));
    let numbered = rows.into_iter().zip(1..).map(|(row, number)| Order {
        row: number,
        customer: row.customer,
        date: row.date,
        quantity: row.quantity,
        cents: row.cents,
    });
    Ok(numbered.collect())
}

/// How many of each product all orders together want.
pub(super) fn demand(orders: &[Order]) -> BTreeMap<i64, i64> {
    let mut demand = BTreeMap::new();
    for order in orders {
        *demand.entry(order.product()).or_insert(0) += order.quantity;
    }
    demand
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "customer,date,quantity,cents\n";

    fn parsed(rows: &str) -> Result<Vec<Order>, OrdersError> {
        parse(format!("{HEADER}{rows}").as_bytes(), "test")
    }

    #[test]
    fn the_shipped_orders_are_7000_by_date() {
        let orders = shipped().unwrap();
        assert_eq!(orders.len(), 7000);
        assert!(orders.is_sorted_by_key(|order| order.date.clone()));
        assert_eq!(orders[0].value(), "00001,1997-01-01,1,1177");
        assert_eq!((orders[0].row, orders[6999].row), (1, 7000));
        assert_eq!(orders.iter().filter(|order| order.cents == 0).count(), 28);
    }

    #[test]
    fn rows_are_sorted_by_date_and_a_day_keeps_its_order() {
        let orders = parsed("b,1997-01-02,1,5\na,1997-01-01,2,7\nc,1997-01-02,3,9\n").unwrap();
        let by_row: Vec<_> = orders
            .iter()
            .map(|order| (order.row, &*order.customer))
            .collect();
        assert_eq!(by_row, [(1, "a"), (2, "b"), (3, "c")]);
    }

    #[test]
    fn the_unit_price_is_rounded_down() {
        let orders = parsed("a,1997-01-01,2,7\na,1997-01-01,3,0\n").unwrap();
        assert_eq!((orders[0].product(), orders[1].product()), (3, 0));
        assert_eq!(demand(&orders), BTreeMap::from([(3, 2), (0, 3)]));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        let cases = [
            (
                "a,1997-01-01,0,7\n",
                "test, line 2: the quantity is less than 1",
            ),
            (
                "a,1997-01-01,1,1\n,1997-01-01,1,7\n",
                "test, line 3: the customer is missing",
            ),
            (
                "a,1.1.1997,1,7\n",
                "test, line 2: the date is not YYYY-MM-DD",
            ),
            (
                "a,1997-01-01,1,-7\n",
                "test, line 2: the amount is negative",
            ),
            ("", "test has no orders"),
        ];
        for (rows, said) in cases {
            assert_eq!(parsed(rows).unwrap_err().to_string(), said);
        }
        assert!(matches!(
            parsed("a,1997-01-01,x,7\n"),
            Err(OrdersError::Csv { .. })
        ));
        let missing = from_file(Path::new("/nowhere/orders.csv")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/orders.csv"));
    }
}
