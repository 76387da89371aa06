//! Real calculations on a real table, sent as Tableau sends them: each argument a list as long as
//! the partition, one call per partition on one connection. Answers are checked by arithmetic of
//! the test's own, or by a property that only the right answer has.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Connection, Request, Server, orders::Orders};

#[track_caller]
fn ask(connection: &mut Connection, script: &str, data: &Value) -> Value {
    let response = connection.send(&Request::evaluate(script, data));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[track_caller]
fn floats(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    items.iter().map(|item| item.as_f64().unwrap_or_else(|| panic!("no number: {item}"))).collect()
}

#[track_caller]
fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-8 * wanted.abs().max(1.0), "{found} is not {wanted}");
}

#[track_caller]
fn all_close(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        close(*found, *wanted);
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of the products of both columns' distances from their means.
fn covariance(left: &[f64], right: &[f64]) -> f64 {
    let (middle_left, middle_right) = (mean(left), mean(right));
    let products = left.iter().zip(right).map(|(a, b)| (a - middle_left) * (b - middle_right));
    products.sum::<f64>() / left.len() as f64
}

#[test]
fn correlation_in_every_partition() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let mut connection = server.connect();
    let mut seen = 0;
    for region in ["North", "South", "East", "West"] {
        let part = orders.only("Region", region);
        seen += part.len();
        let data = json!({"_arg1": part.values("Sales"), "_arg2": part.values("Profit")});
        let script = "import numpy as np\nreturn np.corrcoef(_arg1, _arg2)[0, 1]";
        let found = ask(&mut connection, script, &data);
        let (sales, profit) = (part.numbers("Sales"), part.numbers("Profit"));
        let wanted =
            covariance(&sales, &profit) / (covariance(&sales, &sales) * covariance(&profit, &profit)).sqrt();
        close(found.as_f64().unwrap(), wanted);
    }
    assert_eq!((seen, orders.len()), (640, 640));
}

#[test]
fn linear_regression_predicts_as_the_normal_equations_do() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let script = "import numpy as np\nfrom sklearn.linear_model import LinearRegression\n\
        X = np.column_stack([_arg1, _arg2])\nmodel = LinearRegression().fit(X, _arg3)\nreturn model.predict(X)";
    let data = json!({"_arg1": orders.values("Sales"), "_arg2": orders.values("Discount"), "_arg3": orders.values("Profit")});
    let found = floats(&ask(&mut server.connect(), script, &data));
    let (x, z, y) = (orders.numbers("Sales"), orders.numbers("Discount"), orders.numbers("Profit"));
    let determinant = covariance(&x, &x) * covariance(&z, &z) - covariance(&x, &z).powi(2);
    let by_sales =
        (covariance(&x, &y) * covariance(&z, &z) - covariance(&z, &y) * covariance(&x, &z)) / determinant;
    let by_discount =
        (covariance(&z, &y) * covariance(&x, &x) - covariance(&x, &y) * covariance(&x, &z)) / determinant;
    let start = mean(&y) - by_sales * mean(&x) - by_discount * mean(&z);
    let wanted: Vec<f64> = x.iter().zip(&z).map(|(x, z)| start + by_sales * x + by_discount * z).collect();
    all_close(&found, &wanted);
}

#[test]
fn k_means_puts_every_order_with_its_nearest_centre() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let script = "import numpy as np\nfrom sklearn.cluster import KMeans\nfrom sklearn.preprocessing import StandardScaler\n\
        X = StandardScaler().fit_transform(np.transpose([_arg1, _arg2]))\n\
        return KMeans(n_clusters=4, n_init=10, random_state=7, tol=0).fit(X).labels_.tolist()";
    let data = json!({"_arg1": orders.values("Sales"), "_arg2": orders.values("Profit")});
    let mut connection = server.connect();
    let answer = ask(&mut connection, script, &data);
    assert_eq!(answer, ask(&mut connection, script, &data), "the same data and seed, another answer");
    let labels: Vec<usize> = floats(&answer).iter().map(|label| *label as usize).collect();
    assert_eq!(labels.len(), orders.len());
    let scaled = ["Sales", "Profit"].map(|column| {
        let values = orders.numbers(column);
        let (middle, spread) = (mean(&values), covariance(&values, &values).sqrt());
        values.iter().map(|value| (value - middle) / spread).collect::<Vec<f64>>()
    });
    let points: Vec<(f64, f64)> = scaled[0].iter().copied().zip(scaled[1].iter().copied()).collect();
    let centres: Vec<(f64, f64)> = (0..4)
        .map(|cluster| {
            let mine: Vec<_> =
                points.iter().zip(&labels).filter(|(_, label)| **label == cluster).map(|(p, _)| p).collect();
            assert!(!mine.is_empty(), "cluster {cluster} is empty");
            let size = mine.len() as f64;
            (mine.iter().map(|p| p.0).sum::<f64>() / size, mine.iter().map(|p| p.1).sum::<f64>() / size)
        })
        .collect();
    for (point, label) in points.iter().zip(&labels) {
        let distance = |centre: &(f64, f64)| (point.0 - centre.0).powi(2) + (point.1 - centre.1).powi(2);
        let nearest = centres.iter().map(distance).fold(f64::MAX, f64::min);
        assert!(distance(&centres[*label]) <= nearest + 1e-9);
    }
}

#[test]
fn a_logistic_classifier_is_at_its_optimum() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let fit = "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\n\
        X = np.array(_arg1).reshape(-1, 1)\ny = [p > 0 for p in _arg2]\n\
        model = LogisticRegression(tol=1e-10, max_iter=10000).fit(X, y)\n";
    let data = json!({"_arg1": orders.values("Discount"), "_arg2": orders.values("Profit")});
    let mut connection = server.connect();
    let parameters = floats(&ask(
        &mut connection,
        &format!("{fit}return [model.coef_[0, 0], model.intercept_[0]]"),
        &data,
    ));
    let classes = ask(&mut connection, &format!("{fit}return model.predict(X)"), &data);
    let chances = floats(&ask(&mut connection, &format!("{fit}return model.predict_proba(X)[:, 1]"), &data));
    let (weight, start) = (parameters[0], parameters[1]);
    let (mut slope, mut level) = (weight, 0.0);
    for (row, discount) in orders.numbers("Discount").iter().enumerate() {
        let chance = 1.0 / (1.0 + (-(weight * discount + start)).exp());
        close(chances[row], chance);
        assert_eq!(classes[row], json!(chance > 0.5));
        let wrong = chance - f64::from(u8::from(orders.numbers("Profit")[row] > 0.0));
        slope += wrong * discount;
        level += wrong;
    }
    // The gradient of the penalised likelihood is nought at its optimum and nowhere else.
    assert!(slope.abs() < 1e-3 && level.abs() < 1e-3, "{slope} {level}");
}

#[test]
fn scipys_statistics() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let mut connection = server.connect();
    let sales = orders.numbers("Sales");
    let found = ask(
        &mut connection,
        "from scipy import stats\nreturn stats.zscore(_arg1)",
        &json!({"_arg1": orders.values("Sales")}),
    );
    let (middle, spread) = (mean(&sales), covariance(&sales, &sales).sqrt());
    let wanted: Vec<f64> = sales.iter().map(|value| (value - middle) / spread).collect();
    all_close(&floats(&found), &wanted);

    let script = "from scipy import stats\na = [s for s, g in zip(_arg1, _arg2) if g == 'Consumer']\n\
        b = [s for s, g in zip(_arg1, _arg2) if g == 'Corporate']\nr = stats.ttest_ind(a, b, equal_var=False)\n\
        return [r.statistic, r.pvalue]";
    let data = json!({"_arg1": orders.values("Sales"), "_arg2": orders.strings("Segment")});
    let found = floats(&ask(&mut connection, script, &data));
    let part = |name: &str| orders.only("Segment", name).numbers("Sales");
    let (a, b) = (part("Consumer"), part("Corporate"));
    let error = |values: &[f64]| covariance(values, values) / (values.len() as f64 - 1.0);
    close(found[0], (mean(&a) - mean(&b)) / (error(&a) + error(&b)).sqrt());
    assert!(found[1] > 0.0 && found[1] <= 1.0);
}

#[test]
fn a_regular_expression_takes_text_apart() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let mut connection = server.connect();
    let script =
        "import re\nreturn [int(re.match(r'^[A-Z]{2}-(\\d{4})-(\\d+)$', x).group(2)) for x in _arg1]";
    let found = ask(&mut connection, script, &json!({"_arg1": orders.strings("Order ID")}));
    let wanted: Value = orders
        .text("Order ID")
        .iter()
        .map(|id| json!(id.rsplit('-').next().unwrap().parse::<u32>().unwrap()))
        .collect();
    assert_eq!(found, wanted);
    // A note may be null, or have no telephone number in it.
    let script = "import re\nfound = [re.search(r'\\d{3}-\\d{4}', x) if x else None for x in _arg1]\n\
        return [m.group(0) if m else None for m in found]";
    let found = ask(&mut connection, script, &json!({"_arg1": orders.strings("Note")}));
    let telephone =
        |note: &str| note.strip_prefix("call ").and_then(|rest| rest.split(' ').next().map(str::to_owned));
    let wanted: Value = orders.text("Note").iter().map(|note| json!(telephone(note))).collect();
    assert_eq!(found, wanted);
    assert!(wanted.as_array().unwrap().iter().filter(|note| note.is_string()).count() > 20);
}

#[test]
fn text_of_all_alphabets_goes_there_and_back() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let mut connection = server.connect();
    for column in ["Customer", "Product", "Note"] {
        let found = ask(&mut connection, "return _arg1", &json!({"_arg1": orders.strings(column)}));
        assert_eq!(found, orders.strings(column));
    }
    let found =
        ask(&mut connection, "return [len(x) for x in _arg1]", &json!({"_arg1": orders.strings("Customer")}));
    let wanted: Value = orders.text("Customer").iter().map(|name| json!(name.chars().count())).collect();
    assert_eq!(found, wanted);
}

/// Days since a day long ago, by the calendar's rules.
fn day_number(date: &str) -> i64 {
    let parts: Vec<i64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let leap = |year: i64| i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let years: i64 = (1970..parts[0]).map(|year| 365 + leap(year)).sum();
    let months = [31, 28 + leap(parts[0]), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    years + months.iter().take(parts[1] as usize - 1).sum::<i64>() + parts[2]
}

#[test]
fn dates_and_nulls() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let mut connection = server.connect();
    let (ordered, shipped) = (orders.text("Order Date"), orders.text("Ship Date"));
    let waiting: Vec<Option<i64>> = ordered
        .iter()
        .zip(&shipped)
        .map(|(from, to)| (!to.is_empty()).then(|| day_number(to) - day_number(from)))
        .collect();
    assert!(waiting.iter().filter(|days| days.is_none()).count() > 10);
    // A frame of dates with gaps, and the nullable integers of pandas.
    let script = "import pandas as pd\ndays = (pd.to_datetime(pd.Series(_arg2)) - pd.to_datetime(pd.Series(_arg1))).dt.days\n\
        return days.astype('Int64')";
    let data = json!({"_arg1": orders.strings("Order Date"), "_arg2": orders.strings("Ship Date")});
    assert_eq!(ask(&mut connection, script, &data), json!(waiting));
    // The same without pandas, with dates that carry a time, as Tableau's date-times do.
    let timed = |column: &str| -> Value {
        let with_time =
            |date: &&str| if date.is_empty() { Value::Null } else { json!(format!("{date} 00:00:00")) };
        orders.text(column).iter().map(with_time).collect()
    };
    let script = "from datetime import datetime\nf = '%Y-%m-%d %H:%M:%S'\n\
        return [(datetime.strptime(b, f) - datetime.strptime(a, f)).days if b else None for a, b in zip(_arg1, _arg2)]";
    let data = json!({"_arg1": timed("Order Date"), "_arg2": timed("Ship Date")});
    assert_eq!(ask(&mut connection, script, &data), json!(waiting));
    // Dates back as ISO text, gaps as null.
    let found = ask(
        &mut connection,
        "return pd.to_datetime(pd.Series(_arg1))",
        &json!({"_arg1": orders.strings("Ship Date")}),
    );
    let wanted: Value = shipped
        .iter()
        .map(|date| if date.is_empty() { Value::Null } else { json!(format!("{date}T00:00:00")) })
        .collect();
    assert_eq!(found, wanted);
    // Numbers with gaps: filled by the mean of the others, and NaN as null.
    let ratings: Vec<Option<f64>> = orders.text("Rating").iter().map(|field| field.parse().ok()).collect();
    let known: Vec<f64> = ratings.iter().flatten().copied().collect();
    let script = "import pandas as pd\ns = pd.Series(_arg1, dtype=float)\nreturn s.fillna(s.mean())";
    let data = json!({"_arg1": orders.values("Rating")});
    let wanted: Vec<f64> = ratings.iter().map(|rating| rating.unwrap_or(mean(&known))).collect();
    all_close(&floats(&ask(&mut connection, script, &data)), &wanted);
    let found = ask(&mut connection, "import numpy as np\nreturn np.array(_arg1, dtype=float) * 2", &data);
    assert_eq!(
        found,
        json!(ratings.iter().map(|rating| rating.map(|value| value * 2.0)).collect::<Vec<_>>())
    );
}

#[test]
fn running_sums_and_a_smoothed_forecast() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let mut connection = server.connect();
    for category in ["Furniture", "Office Supplies", "Technology"] {
        let part = orders.only("Category", category);
        let data = json!({"_arg1": part.values("Sales"), "_arg2": vec![0.3; part.len()]});
        let sales = part.numbers("Sales");
        let found = floats(&ask(&mut connection, "import numpy as np\nreturn np.cumsum(_arg1)", &data));
        let mut total = 0.0;
        let wanted: Vec<f64> = sales
            .iter()
            .map(|value| {
                total += value;
                total
            })
            .collect();
        all_close(&found, &wanted);
        let script = "level = _arg1[0]\nfitted = []\nfor value in _arg1:\n    fitted.append(level)\n    level += _arg2[0] * (value - level)\nreturn fitted";
        let found = floats(&ask(&mut connection, script, &data));
        let mut level = sales[0];
        let wanted: Vec<f64> = sales
            .iter()
            .map(|value| {
                let now = level;
                level += 0.3 * (value - level);
                now
            })
            .collect();
        all_close(&found, &wanted);
        let found = ask(
            &mut connection,
            "return pd.Series(_arg1).ewm(alpha=0.3, adjust=False).mean().shift(1)",
            &data,
        );
        assert_eq!(found[0], Value::Null);
        all_close(&floats(&Value::from(found.as_array().unwrap()[1..].to_vec())), &wanted[1..]);
    }
}

#[test]
fn a_prep_flow_sums_a_frame_by_group() {
    let server = Server::start().ready();
    let orders = Orders::read();
    let script = "def get_output_schema():\n    return pd.DataFrame({'Region': prep_string(), 'Category': prep_string(), 'Sales': prep_decimal()})\n\n\
        def by_group(df):\n    df['Sales'] = df['Sales'].round(2)\n    out = df.groupby(['Region', 'Category'], as_index=False)\\\n        .agg(Sales=('Sales', 'sum'), Orders=('Order ID', 'count'), Rated=('Rating', 'count'), Last=('Order Date', 'max'))\n    return out\n\n\
        execution_result = by_group(pd.DataFrame(_arg1))\n\
        return execution_result.to_dict(orient='list') if isinstance(execution_result, pd.DataFrame) else execution_result";
    let data = json!({"_arg1": {
        "Order ID": orders.strings("Order ID"), "Region": orders.strings("Region"), "Category": orders.strings("Category"),
        "Order Date": orders.strings("Order Date"), "Sales": orders.values("Sales"), "Rating": orders.values("Rating"),
    }});
    let found = ask(&mut server.connect(), script, &data);
    let mut groups: BTreeMap<(&str, &str), (f64, u32, u32, &str)> = BTreeMap::new();
    let (regions, categories, dates) =
        (orders.text("Region"), orders.text("Category"), orders.text("Order Date"));
    let (sales, ratings) = (orders.numbers("Sales"), orders.text("Rating"));
    for row in 0..orders.len() {
        let group = groups.entry((regions[row], categories[row])).or_default();
        group.0 += sales[row];
        group.1 += 1;
        group.2 += u32::from(!ratings[row].is_empty());
        group.3 = group.3.max(dates[row]);
    }
    assert_eq!(groups.len(), 12);
    assert_eq!(found["Region"], json!(groups.keys().map(|key| key.0).collect::<Vec<_>>()));
    assert_eq!(found["Category"], json!(groups.keys().map(|key| key.1).collect::<Vec<_>>()));
    all_close(&floats(&found["Sales"]), &groups.values().map(|group| group.0).collect::<Vec<_>>());
    assert_eq!(found["Orders"], json!(groups.values().map(|group| group.1).collect::<Vec<_>>()));
    assert_eq!(found["Rated"], json!(groups.values().map(|group| group.2).collect::<Vec<_>>()));
    assert_eq!(found["Last"], json!(groups.values().map(|group| group.3).collect::<Vec<_>>()));
    assert_eq!(found.as_object().unwrap().len(), 6);
    assert!(!server.log().to_lowercase().contains("warn"), "{}", server.log());
}
