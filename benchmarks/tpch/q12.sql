-- Lines by ship mode, of orders that will probably be late, and of the others.
-- complain: late_line_count
SELECT l_shipmode, sum(CASE WHEN predict(delay, o) = 'late' THEN 1 ELSE 0 END) AS late_line_count,
       sum(CASE WHEN predict(delay, o) IN ('prompt', 'slow') THEN 1 ELSE 0 END) AS other_line_count
FROM orders o, lineitem
WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate
  AND l_shipdate < l_commitdate AND l_receiptdate >= DATE '1994-01-01'
  AND l_receiptdate < DATE '1994-01-01' + INTERVAL 1 YEAR
GROUP BY l_shipmode
ORDER BY l_shipmode
