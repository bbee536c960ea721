module localcloud/pause

go 1.26
