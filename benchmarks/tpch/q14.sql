-- The share of promoted parts that will probably come back, of a month's revenue.
-- complain: promo_revenue
SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' AND predict(risk, l) = 'high'
                         THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
       / sum(l_extendedprice * (1 - l_discount)) AS promo_revenue
FROM lineitem l, part
WHERE l_partkey = p_partkey AND l_shipdate >= DATE '1995-09-01' AND l_shipdate < DATE '1995-09-01' + INTERVAL 1 MONTH
